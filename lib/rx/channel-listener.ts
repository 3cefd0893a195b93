import { type AsyncEngine, ConnectionLostError, type PooledConnection } from '../engine/index.js';

/** What a session sent by NOTIFY. */
export interface Notification {
  readonly channel: string;
  /** Empty where NOTIFY had none. */
  readonly payload: string;
  /** The server process of the sender, as in `pg_stat_activity.pid`. */
  readonly processId: number;
}

/** What is used of the `pg` Client. */
interface NotificationSource {
  on(event: 'notification', listener: (message: NotificationMessage) => void): unknown;
  on(event: 'error' | 'end', listener: (error?: unknown) => void): unknown;
}

interface NotificationMessage {
  readonly channel: string;
  readonly payload?: string | undefined;
  readonly processId: number;
}

interface ChannelCommands {
  readonly listen: string;
  readonly unlisten: string;
}

interface ChannelEvents {
  onListen(): void;
  onNotification(notification: Notification): void;
  /** Listening could not begin, or the connection was lost. */
  onEnd(error: unknown): void;
}

/** How long the server may take for LISTEN and UNLISTEN, in ms. */
const ANSWER_DEADLINE = 5_000;

type ListenerState = 'opening' | 'listening' | 'ended';

/** Listens on one connection until that is lost or `stop()` is called. */
export class ChannelListener {
  readonly #engine: AsyncEngine;
  readonly #commands: ChannelCommands;
  readonly #events: ChannelEvents;
  #state: ListenerState = 'opening';
  #pooled: PooledConnection | undefined;

  constructor(engine: AsyncEngine, commands: ChannelCommands, events: ChannelEvents) {
    this.#engine = engine;
    this.#commands = commands;
    this.#events = events;
  }

  /** Resolves when it listens or `onEnd` was called. Never rejects. */
  async start(): Promise<void> {
    try {
      const pooled = await this.#engine.rawConnection();
      if (this.#hasEnded()) return await pooled.close();
      pooled.detach();
      this.#pooled = pooled;
      this.#watch(pooled.driverConnection as NotificationSource);
      await this.#send(pooled, this.#commands.listen);
    } catch (error) {
      return this.#end(error);
    }
    if (this.#hasEnded()) return;
    this.#state = 'listening';
    this.#events.onListen();
  }

  /** Ends it without a word. */
  stop(): void {
    const wasListening = this.#state === 'listening';
    this.#state = 'ended';
    const pooled = this.#pooled;
    if (pooled === undefined) return;
    const unlistened = wasListening ? this.#send(pooled, this.#commands.unlisten) : Promise.resolve();
    // Where UNLISTEN fails, the end of the session does the same.
    void unlistened.catch(() => undefined).then(() => pooled.close());
  }

  async #send(pooled: PooledConnection, text: string): Promise<void> {
    await pooled.session.execute([], { text, prepare: false }, { timeout: ANSWER_DEADLINE });
  }

  #watch(client: NotificationSource): void {
    client.on('notification', ({ channel, payload = '', processId }) => {
      if (!this.#hasEnded()) this.#events.onNotification({ channel, payload, processId });
    });
    const onLoss = (cause?: unknown): void =>
      this.#end(
        new ConnectionLostError('the connection that listened was lost.', {
          cause,
          connectionInvalidated: true,
        }),
      );
    client.on('error', onLoss);
    client.on('end', onLoss);
  }

  #end(error: unknown): void {
    if (this.#hasEnded()) return;
    this.#state = 'ended';
    const pooled = this.#pooled;
    if (pooled !== undefined) {
      // What ended this connection has probably ended the idle ones as well.
      if (error instanceof ConnectionLostError) this.#engine.pool.invalidateAll(pooled);
      void pooled.close();
    }
    this.#events.onEnd(error);
  }

  // A question of its own, so that the compiler does not take the answer before an await for the one after
  // it.
  #hasEnded(): boolean {
    return this.#state === 'ended';
  }
}
