import type { DriverConnection } from '../driver/driver.js';
import { ResourceClosedError } from '../errors/errors.js';
import type { ConnectionRecord } from './connection-record.js';
import type { SessionViews } from '../driver/session-views.js';

/** The pool that a connection was borrowed from. */
export interface LoanOwner {
  /** Its views: what borrowers see in place of its sessions. */
  readonly pool: { readonly views: SessionViews | undefined };
  /**
   * Resets the connection if it needs that and keeps it, or ends it. Undefined where that is done at once.
   * Never rejects.
   */
  onReturn(loan: PooledConnection, record: ConnectionRecord): Promise<void> | undefined;
  /** Ends the session at once, or has it replaced when it comes back. */
  onInvalidated(loan: PooledConnection, record: ConnectionRecord, cause: unknown, isSoft: boolean): void;
  /** The session leaves the pool and lives on with its borrower; the slot is free. */
  onDetached(loan: PooledConnection, record: ConnectionRecord): void;
  /** Resets a detached session as the pool's option says, and closes it for good. Never rejects. */
  onDetachedClose(record: ConnectionRecord): Promise<void>;
}

type LoanState = 'open' | 'detached' | 'invalidated' | 'closed';

const returned = Promise.resolve();

/**
 * A connection on loan from a pool. It dies when it is returned: after `close()` every member but `close()`,
 * `isValid` and `generation` throws {@link ResourceClosedError}.
 */
export class PooledConnection implements AsyncDisposable {
  /** The generation of the pool that the connection belongs to, for `Pool.invalidateAll(witness)`. */
  readonly generation: number;
  /** True: it was lent before. */
  readonly isReused: boolean;
  readonly #owner: LoanOwner;
  readonly #record: ConnectionRecord;
  #state: LoanState = 'open';
  #returning: Promise<void> | undefined;
  #cause: unknown;

  /** @internal */
  constructor(record: ConnectionRecord, owner: LoanOwner) {
    this.generation = record.generation;
    this.isReused = record.wasLent;
    record.wasLent = true;
    this.#record = record;
    this.#owner = owner;
  }

  /** The driver's own object: the `pg` Client, or the PGlite instance. */
  get driverConnection(): unknown {
    const { driverConnection, client, changes } = this.session;
    // What runs on PGlite itself is not seen by its client.
    if (driverConnection !== client) changes?.noteClientUse();
    return driverConnection;
  }

  /** The session that the engine speaks to. */
  get session(): DriverConnection {
    if (this.#state === 'invalidated' || this.#state === 'closed') this.#refuse();
    const { views } = this.#owner.pool;
    return views === undefined ? this.#record.session : views.of(this.#record.session);
  }

  /** Lives as long as the physical connection, from one borrower to the next. */
  get info(): Map<unknown, unknown> {
    if (this.#state === 'invalidated' || this.#state === 'closed') this.#refuse();
    return this.#record.info;
  }

  /** True while the connection is on loan and its session open. */
  get isValid(): boolean {
    return (this.#state === 'open' || this.#state === 'detached') && this.#record.session.isOpen;
  }

  /**
   * Hard: ends the session at once and frees its place in the pool. Soft: the connection works on until it is
   * returned and is replaced at its next checkout. Without effect on one that is invalidated already.
   */
  invalidate(cause?: unknown, soft = false): void {
    if (this.#state === 'closed') this.#refuse();
    if (this.#state === 'invalidated') return;
    if (soft) return this.#owner.onInvalidated(this, this.#record, cause, true);
    this.#state = 'invalidated';
    this.#cause = cause;
    this.#owner.onInvalidated(this, this.#record, cause, false);
  }

  /**
   * Takes the connection out of the pool, whose place is free at once; `close()` then ends what is open on
   * it, as `poolResetOnReturn` says, and really closes it: the events `reset` and `close`.
   */
  detach(): void {
    if (this.#state === 'invalidated' || this.#state === 'closed') this.#refuse();
    if (this.#state === 'detached') return;
    this.#state = 'detached';
    this.#owner.onDetached(this, this.#record);
  }

  /** Gives the connection back; resolves when it is reset. Idempotent, never rejects. */
  close(): Promise<void> {
    return this.giveBack() ?? returned;
  }

  /** The same as `close()`, and undefined where nothing has to be waited for. @internal */
  giveBack(): Promise<void> | undefined {
    const before = this.#state;
    this.#state = 'closed';
    if (before === 'open') this.#returning = this.#owner.onReturn(this, this.#record);
    if (before === 'detached') this.#returning = this.#owner.onDetachedClose(this.#record);
    return this.#returning;
  }

  /** For `await using`: `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #refuse(): never {
    const happened = this.#state === 'closed' ? 'was returned to its pool' : 'was invalidated';
    throw new ResourceClosedError(
      `this connection ${happened}; take another one from the pool.`,
      this.#cause === undefined ? undefined : { cause: this.#cause },
    );
  }
}
