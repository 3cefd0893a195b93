import { AsyncLocalStorage } from 'node:async_hooks';
import type { EventEmitter } from 'node:events';
import { onSessionLost } from '../driver/session-loss.js';
import { ArgumentError, ResourceClosedError } from '../errors/errors.js';
import { ConnectionLostError, NotSupportedError } from '../errors/server-errors.js';
import type { Pool } from '../pool/pool.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import { quoteIdentifier } from '../statement/identifier.js';

/** What a session sent by NOTIFY. */
export interface Notification {
  readonly channel: string;
  /** Empty where NOTIFY had none. */
  readonly payload: string;
  /** The server process of the sender, as in `pg_stat_activity.pid`. */
  readonly processId: number;
}

/** What one subscriber of a channel is told. */
export interface ChannelHandlers {
  /** LISTEN is in effect: from here on no notification is missed. */
  onListen(): void;
  /** A notification of the channel has arrived. */
  onNotification(notification: Notification): void;
  /** Listening could not begin, the connection was lost, or the engine was closed. Nothing follows. */
  onEnd(error: unknown): void;
}

interface Channel {
  readonly handlers: Set<ChannelHandlers>;
  /** Settles when LISTEN is in effect. */
  readonly listening: Promise<void>;
}

/** How an engine reaches its server. */
interface HubOptions {
  readonly pool: () => Pool;
  readonly driver: string;
  readonly pgbouncer: boolean;
}

/** How long the server may take for LISTEN and UNLISTEN, in ms. */
const ANSWER_DEADLINE = 5_000;

/**
 * The channels that an engine listens to, all on one connection, which it takes out of the pool: opened for
 * the first subscriber, closed behind the last one, and at the latest with the engine.
 */
export class NotificationHub {
  readonly #options: HubOptions;
  readonly #channels = new Map<string, Channel>();
  // The connection outlives the request of the subscriber that opens it.
  readonly #outsideOfRequests = AsyncLocalStorage.snapshot();
  #connection: Promise<PooledConnection> | undefined;
  #state: 'open' | 'closed' = 'open';

  constructor(options: HubOptions) {
    this.#options = options;
  }

  /**
   * @throws ArgumentError for a name that is not one, and with `pgbouncer`; NotSupportedError for the driver
   * pglite, whose one session it would keep.
   */
  expectChannel(name: string): void {
    quoteIdentifier(name);
    const { driver, pgbouncer } = this.#options;
    if (driver === 'pglite') {
      throw new NotSupportedError(
        `listening to '${name}' would keep the one session that a PGlite database has. Use listen() of the instance: ` +
          `rawConnection() has it as driverConnection.`,
      );
    }
    if (pgbouncer) {
      throw new ArgumentError(
        `behind a pooler (pgbouncer: true) a LISTEN to '${name}' would land on a session of other clients and hear ` +
          `nothing. Listen with an engine that is connected to the server directly: fromChannel(directEngine, …).`,
      );
    }
  }

  /** Adds a subscriber; call the function that you get to end it. Throws as {@link expectChannel} does. */
  listen(name: string, handlers: ChannelHandlers): () => void {
    this.expectChannel(name);
    const channel = this.#channels.get(name) ?? this.#add(name);
    channel.handlers.add(handlers);
    channel.listening.then(
      () => channel.handlers.has(handlers) && handlers.onListen(),
      (error: unknown) => {
        if (this.#channels.get(name) === channel) this.#channels.delete(name);
        if (channel.handlers.delete(handlers)) handlers.onEnd(error);
        this.#closeIfUnused();
      },
    );
    return () => this.#remove(name, channel, handlers);
  }

  /** Ends all subscriptions with `ResourceClosedError`, for good. */
  async close(): Promise<void> {
    this.#state = 'closed';
    const connection = this.#connection;
    this.#end(closedError());
    await connection?.then(
      (pooled) => pooled.close(),
      () => undefined,
    );
  }

  #add(name: string): Channel {
    const channel: Channel = { handlers: new Set(), listening: this.#startListening(name) };
    this.#channels.set(name, channel);
    return channel;
  }

  #remove(name: string, channel: Channel, handlers: ChannelHandlers): void {
    if (!channel.handlers.delete(handlers) || channel.handlers.size > 0) return;
    if (this.#channels.get(name) !== channel) return;
    this.#channels.delete(name);
    if (this.#closeIfUnused()) return;
    // Where UNLISTEN fails, the connection is lost, and its end is told by itself.
    this.#connection
      ?.then((pooled) => send(pooled, `UNLISTEN ${quoteIdentifier(name)}`))
      .catch(() => undefined);
  }

  /** True: no channel is left, and the connection is closed. */
  #closeIfUnused(): boolean {
    if (this.#channels.size > 0) return false;
    const connection = this.#connection;
    this.#connection = undefined;
    // One that waits for the answer to LISTEN is not asked to end: the answer may never come.
    connection?.then(
      (pooled) => (pooled.session.isQuiet ? pooled.close() : pooled.invalidate()),
      () => undefined,
    );
    return true;
  }

  async #startListening(name: string): Promise<void> {
    if (this.#state === 'closed') throw closedError();
    this.#connection ??= this.#outsideOfRequests(() => this.#open());
    const pooled = await this.#connection;
    await send(pooled, `LISTEN ${quoteIdentifier(name)}`);
  }

  async #open(): Promise<PooledConnection> {
    try {
      const pooled = await this.#options.pool().connect();
      pooled.detach();
      this.#attach(pooled);
      return pooled;
    } catch (error) {
      this.#connection = undefined;
      throw error;
    }
  }

  #attach(pooled: PooledConnection): void {
    const client = pooled.driverConnection as EventEmitter;
    client.on('notification', ({ channel, payload, processId }: Notification) => {
      for (const one of this.#channels.get(channel)?.handlers ?? [])
        one.onNotification({ channel, payload, processId });
    });
    const own = this.#connection;
    const onLoss = (cause?: unknown): void => {
      if (this.#connection !== own || own === undefined) return;
      // What ended this connection has probably ended the idle ones as well.
      this.#options.pool().invalidateAll(pooled);
      this.#end(lostError(cause));
      void pooled.close();
    };
    onSessionLost(client, onLoss);
  }

  #end(error: Error): void {
    const channels = [...this.#channels.values()];
    this.#channels.clear();
    this.#connection = undefined;
    for (const { handlers } of channels) {
      const ended = [...handlers];
      handlers.clear();
      for (const one of ended) one.onEnd(error);
    }
  }
}

async function send(pooled: PooledConnection, text: string): Promise<void> {
  await pooled.session.execute([], { text, prepare: false }, { timeout: ANSWER_DEADLINE });
}

function lostError(cause: unknown): ConnectionLostError {
  return new ConnectionLostError('the connection that listened was lost.', {
    cause,
    connectionInvalidated: true,
  });
}

function closedError(): ResourceClosedError {
  return new ResourceClosedError('the engine was closed, and with it the connection that listened.');
}
