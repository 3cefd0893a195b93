import { EventEmitter } from 'node:events';
import type { Client, PoolClient } from 'pg';
import { ResourceClosedError } from '../engine/index.js';
import type { CallSite } from '../engine/util/call-site.js';
import { ClientQueries } from './client-queries.js';
import type { ClientSession, ControlNotice } from './client-session.js';

/** What the client of `pg` tells of its session. */
const EVENTS = ['notice', 'notification', 'error', 'end', 'drain'] as const;

/** Told of the release of a client; once. */
type ReleaseListener = (lent: LentClient, failure: unknown) => void;

/**
 * A client of `pg` on loan. What its borrower holds has the client for its prototype, and listeners and an
 * end of its own: after the release nothing of it reaches the session.
 */
export class LentClient {
  readonly session: ClientSession;
  /** What the borrower holds. */
  readonly view: PoolClient;
  /** Where it was borrowed. */
  readonly place: CallSite;
  readonly queries: ClientQueries;
  readonly #onRelease: ReleaseListener;
  #state: 'lent' | 'released' = 'lent';
  readonly #stop: () => void;

  constructor(session: ClientSession, place: CallSite, onRelease: ReleaseListener) {
    this.session = session;
    this.place = place;
    this.#onRelease = onRelease;
    this.queries = new ClientQueries(session, (notice) => this.#notify(notice));
    this.view = this.#makeView(session.client);
    this.#stop = forward(session.client, this.view);
  }

  #makeView(client: Client): PoolClient {
    const view = Object.create(client) as PoolClient;
    (EventEmitter as unknown as (this: PoolClient) => void).call(view);
    const refused = (): Error | undefined => (this.#state === 'lent' ? undefined : this.#clientReleased());
    return Object.assign(view, {
      query: (given: unknown, ...rest: unknown[]) => this.queries.query(given, rest, refused()),
      release: (failure?: unknown) => this.#release(failure),
      end: (callback?: (error?: Error) => void) => this.#end(callback),
      getTransactionStatus: () => this.session.transactionStatus,
    } as Partial<PoolClient>);
  }

  #release(failure: unknown): void {
    if (this.#state === 'released') {
      throw new ResourceClosedError(
        `this client, borrowed at ${String(this.place)}, was released already. Release it once, best in a finally.`,
      );
    }
    this.#state = 'released';
    this.queries.finishOpen();
    this.#stop();
    this.#onRelease(
      this,
      failure === true ? new Error('its borrower released it as broken') : failure || undefined,
    );
  }

  // The session is the pool's: its borrower can only say that it is not to be used again.
  #end(callback: ((error?: Error) => void) | undefined): Promise<void> | undefined {
    if (this.#state === 'lent') this.#release(true);
    if (callback === undefined) return Promise.resolve();
    process.nextTick(callback);
    return undefined;
  }

  #notify({ code, message }: ControlNotice): void {
    this.view.emit(
      'notice',
      Object.assign(new Error(message), { name: 'notice', severity: 'WARNING', code }),
    );
  }

  #clientReleased(): ResourceClosedError {
    return new ResourceClosedError(
      `this client, borrowed at ${String(this.place)}, was released. Take another one by connect().`,
    );
  }
}

/** Tells `view` what happens to `client`, until the function that you get is called. */
function forward(client: Client, view: PoolClient): () => void {
  const listeners = EVENTS.map((event) => {
    const listener = (...facts: unknown[]): void => {
      // An error without a listener would end the process; the query that met it has been told.
      if (view.listenerCount(event) > 0) view.emit(event, ...facts);
    };
    client.on(event as 'notice', listener);
    return { event, listener };
  });
  return () => {
    for (const { event, listener } of listeners) client.off(event, listener);
  };
}
