import { CallSite } from '../util/call-site.js';
import { AsyncConnection } from '../connection/connection.js';
import type { ConnectionSource } from '../connection/connection.js';
import { ScopeEndedError } from '../errors/errors.js';
import type { ExecutionOptions } from '../execution/execution-options.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import type { RootTransaction } from '../transaction/root-transaction.js';
import type { TransactionOptions } from '../transaction/isolation.js';

/**
 * `onSuccess`: whoever asks for the scope's connection makes the scope one transaction, committed when it
 * succeeds.
 * `explicit`: the connection is the user's to commit; what he leaves open is rolled back with a warning.
 */
export type ScopeCommit = 'onSuccess' | 'explicit';

/** How a scope is named, what its end does, and how its connection runs. */
export interface ScopeOptions {
  /** Names the scope in errors and warnings: a route, a job. Default: where it was opened. */
  readonly label?: string | undefined;
  /** Default `onSuccess`. */
  readonly commit?: ScopeCommit | undefined;
  /** For the scope's own connection. A function is asked once, by its first statement. */
  readonly connection?: ExecutionOptions | (() => ExecutionOptions) | undefined;
  /** Whoever opened the scope, to be found again by those who come to it later. */
  readonly opener?: object | undefined;
}

/** What a scope needs of the async context. */
export interface ScopeContext {
  /** Runs work in `scope`, inside whatever is around the call of this. */
  entranceTo(scope: Scope): <T>(work: () => T) => T;
}

/**
 * Keeps a scope open; `release()` is idempotent and resolves when the scope, if this was the last lease, has
 * closed.
 */
export interface Lease {
  /**
   * Ends this lease. The last one gives the connection back. Undefined where there is nothing to wait for.
   */
  release(): Promise<void> | undefined;
}

// A scope that nobody asked for anything is most of them: its end makes no promises.
const ENDED = Promise.resolve();
const NOTHING_UNDONE = Promise.resolve(false);

/**
 * One unit of work: a request, a message, a job, a test. It owns at most one connection, taken at the first
 * statement and given back when the last lease has ended.
 */
export class Scope {
  readonly #source: ConnectionSource;
  readonly #options: ScopeOptions;
  readonly #label: string | CallSite;
  readonly #enter: <T>(work: () => T) => T;
  readonly #onClose: (scope: Scope) => void;
  #state: 'open' | 'settled' | 'closed' = 'open';
  #leases = 0;
  #connection: AsyncConnection | undefined;

  /** @internal */
  constructor(
    source: ConnectionSource,
    context: ScopeContext,
    options: ScopeOptions,
    onClose: (scope: Scope) => void,
  ) {
    this.#source = source;
    this.#options = options;
    this.#label = options.label ?? new CallSite();
    this.#enter = context.entranceTo(this);
    this.#onClose = onClose;
  }

  /** The label, or where the scope was opened. */
  get origin(): string {
    return String(this.#label);
  }

  /** What was given as the one who opened it. */
  get opener(): object | undefined {
    return this.#options.opener;
  }

  /** True until the last lease has ended. */
  get isOpen(): boolean {
    return this.#state !== 'closed';
  }

  /** What the scope holds of the pool. */
  get pooled(): PooledConnection | undefined {
    return this.#connection?.pooled;
  }

  /** Runs `work` in this scope. */
  run<T>(work: () => T): T {
    return this.#enter(work);
  }

  /** Keeps the scope open until it is released. Throws {@link ScopeEndedError} once the scope has closed. */
  lease(): Lease {
    this.expectOpen();
    this.#leases += 1;
    return new ScopeLease(() => this.#release());
  }

  /**
   * True once somebody has asked for the scope's connection: then all of the scope's work runs on it.
   * @internal
   */
  get isHandedOut(): boolean {
    return this.#connection !== undefined;
  }

  /**
   * The scope's connection, not started: its first statement takes one from the pool. The same object every
   * time.
   */
  get connection(): AsyncConnection {
    this.expectOpen();
    this.#connection ??= this.#handOut();
    return this.#connection;
  }

  #handOut(): AsyncConnection {
    const isExplicit = this.#options.commit === 'explicit';
    // A scope that is one transaction gives back with its end what it took: its hooks and what follows may
    // need it.
    const { connection: given = {} } = this.#options;
    const late = typeof given === 'function' ? given : undefined;
    const connection = new AsyncConnection(this.#source, isExplicit ? 'scoped' : 'transaction', late);
    if (typeof given !== 'function') void connection.executionOptions(given);
    if (this.#state === 'settled') connection.letAutocommit();
    else if (!isExplicit) connection.beginRoot({ label: this.#label });
    return connection;
  }

  /** The transaction that all work of the scope is part of, where there is one. */
  get unit(): RootTransaction<AsyncConnection> | undefined {
    return this.#connection?.own;
  }

  /** A root on the scope's connection that waits for the one before it. @internal */
  queueRoot(options: TransactionOptions): RootTransaction<AsyncConnection> {
    return this.connection.queueRoot(options);
  }

  /**
   * The work of the scope has succeeded: commits its transaction. What comes later in the scope autocommits.
   */
  complete(): Promise<void> {
    const unit = this.#settle();
    return unit === undefined ? ENDED : this.run(() => unit.commit());
  }

  /**
   * The work of the scope has failed: rolls its transaction back. What comes later in the scope autocommits.
   * True: there was something to undo.
   */
  fail(): Promise<boolean> {
    const unit = this.#settle();
    return unit === undefined ? NOTHING_UNDONE : this.#undo(unit);
  }

  async #undo(unit: RootTransaction<AsyncConnection>): Promise<boolean> {
    const hadWork = unit.isActive && unit.state !== 'pending';
    await this.run(() => unit.rollback());
    return hadWork;
  }

  /** The transaction that is to be ended, where there is one. */
  #settle(): RootTransaction<AsyncConnection> | undefined {
    if (this.#state !== 'open' || this.#options.commit === 'explicit') return undefined;
    const { unit } = this;
    this.#state = 'settled';
    // Its hooks come later already.
    this.#connection?.letAutocommit();
    return unit;
  }

  /** @internal */
  expectOpen(): void {
    if (this.#state !== 'closed') return;
    throw new ScopeEndedError(
      `the scope of ${this.origin} has ended and this comes after it. ` +
        `Is a promise not awaited, or does a timer or a stream run on?`,
    );
  }

  #release(): Promise<void> | undefined {
    this.#leases -= 1;
    if (this.#leases > 0 || this.#state === 'closed') return undefined;
    this.#state = 'closed';
    if (this.#connection !== undefined) return this.#giveBack(this.#connection);
    this.#onClose(this);
    return undefined;
  }

  async #giveBack(connection: AsyncConnection): Promise<void> {
    const left = connection.own;
    if (left?.isActive === true && left.state !== 'pending') this.#warn();
    try {
      await connection.close();
    } finally {
      // Whatever was begun in the scope and lives on, a socket's write or a timer, has the scope in its async
      // context.
      this.#connection = undefined;
      this.#onClose(this);
    }
  }

  #warn(): void {
    if (this.#options.commit !== 'explicit') return;
    this.#source.logger.warn(
      `${this.origin} ended with a transaction that was not committed: it is rolled back. Call commit() on its connection.`,
    );
  }
}

class ScopeLease implements Lease {
  #state: 'held' | 'released' = 'held';
  #ending: Promise<void> | undefined;
  readonly #end: () => Promise<void> | undefined;

  constructor(end: () => Promise<void> | undefined) {
    this.#end = end;
  }

  release(): Promise<void> | undefined {
    if (this.#state === 'held') {
      this.#state = 'released';
      this.#ending = this.#end();
    }
    return this.#ending;
  }
}
