import { ResourceClosedError } from '../errors/errors.js';
import { QueryCanceledError } from '../errors/server-errors.js';
import type { ConnectionObserver } from '../execution/connection-observer.js';
import type { Pool } from '../pool/pool.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import { SharedWait } from './shared-wait.js';
import type { WaitEnd } from '../util/wait-end.js';

/** Where sessions come from. */
interface Source {
  readonly pool: Pool;
  checkout(end: WaitEnd): Promise<PooledConnection>;
}

/** The connection that what is checked out is for. */
interface Taker<Connection> {
  readonly observer: ConnectionObserver<Connection> | undefined;
  expectNotClosed(): void;
  readonly state: string;
  take(pooled: PooledConnection): Promise<void> | undefined;
}

/** How a connection waits for a session of the pool: one wait for all of its callers. */
export class Checkout<Connection> {
  readonly #source: Source;
  readonly #taker: Taker<Connection>;
  #wait: SharedWait | undefined;

  constructor(source: Source, taker: Taker<Connection>) {
    this.#source = source;
    this.#taker = taker;
  }

  /** A connection of the pool is waited for. */
  get isWaiting(): boolean {
    return this.#wait !== undefined;
  }

  /** `signal` ends the wait of this caller. */
  start(signal: AbortSignal | undefined): Promise<void> {
    if (this.#wait?.isEnded !== false) this.#wait = new SharedWait((end) => this.#open(end));
    return this.#wait.join(signal);
  }

  /** Ends the wait of all callers. */
  cancel(): void {
    this.#wait?.end(new QueryCanceledError('the statement was cancelled while it waited for a connection.'));
  }

  /** Waits for the next connection that is free, unless `end` ends the wait. */
  #open(end: WaitEnd): Promise<void> {
    const { pool } = this.#source;
    return this.#source.checkout(end).then(
      (pooled) => {
        this.#waited(end);
        // Given up, or closed, while it waited: the connection must not stay behind.
        if (end.aborted || this.#taker.state === 'closed') return this.#giveBack(pooled, end);
        return this.#taker.take(pooled);
      },
      (error: unknown) => {
        // The engine was disposed meanwhile, and nothing was sent yet: the next pool is as good.
        if (error instanceof ResourceClosedError && this.#source.pool !== pool) return this.#open(end);
        this.#waited(end);
        throw end.aborted ? error : (this.#taker.observer?.connectFailed(error) ?? error);
      },
    );
  }

  #waited(end: WaitEnd): void {
    // Where this one was given up, another one may be under way already.
    if (!end.aborted || this.#wait?.isEnded === true) this.#wait = undefined;
  }

  async #giveBack(pooled: PooledConnection, end: WaitEnd): Promise<void> {
    await pooled.close();
    if (end.aborted) throw end.reason;
    this.#taker.expectNotClosed();
  }
}
