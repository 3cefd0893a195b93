import { CallSite } from '../util/call-site.js';
import { WaitEnd, type WaitSignal } from '../util/wait-end.js';
import { makeConnection, type AsyncConnection } from '../connection/connection.js';
import type { ConnectionHost } from '../connection/connection-host.js';
import { ScopeEndedError } from '../errors/errors.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import { WriteMark } from '../pool/replicas/write-mark.js';
import type { RootTransaction } from '../transaction/root-transaction.js';
import type { TransactionOptions } from '../transaction/isolation.js';
import { AskedOptions } from './asked-options.js';
import type { ScopeOptions } from './scope-options.js';
import { UnitOfWork } from './unit-of-work.js';

/** A transaction or scope that is open inside another scope. */
export interface OpenedInside {
  /** That of the transaction. */
  readonly connection: AsyncConnection | undefined;
  readonly run: <T>(work: () => T) => T;
}

/** What a scope needs of the async context. */
export interface ScopeContext {
  /** Gives a function that runs work in `scope`, and in `unit`, inside the frame of the caller of `bind`. */
  bind(scope: Scope, unit?: UnitOfWork): <T>(work: () => T) => T;
  /** The transaction or scope that the caller has opened inside `scope`. */
  openedIn(scope: Scope): OpenedInside | undefined;
  /** Runs work in what is around `scope`, also where the caller is inside it. */
  runOutside<T>(scope: Scope, work: () => T): T;
  /** True: the caller is in `scope`, and in no scope or transaction inside it. */
  isDirectlyIn(scope: Scope): boolean;
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

// Most scopes never use a connection, so ending one must not allocate promises.
const ENDED = Promise.resolve();
const NOTHING_UNDONE = Promise.resolve(false);

/**
 * One unit of work: a request, a message, a job, a test. It owns at most one connection, taken at the first
 * statement and given back when the last lease has ended.
 */
export class Scope {
  readonly #source: ConnectionHost<AsyncConnection>;
  readonly #options: ScopeOptions;
  readonly #label: string | CallSite;
  readonly #context: ScopeContext;
  readonly #enter: <T>(work: () => T) => T;
  readonly #onClose: (scope: Scope) => void;
  #state: 'open' | 'settled' | 'closed' = 'open';
  #leases = 0;
  #waits: Set<WaitEnd> | undefined;
  #connection: AsyncConnection | undefined;
  #unit: UnitOfWork | undefined;
  #writes: WriteMark | undefined;
  /** What the option `connection` says. @internal */
  readonly asked: AskedOptions;
  /**
   * It was one transaction, or its connection the application's to commit: late work must not commit itself.
   */
  #hadTransaction = false;

  /** @internal */
  constructor(
    source: ConnectionHost<AsyncConnection>,
    context: ScopeContext,
    options: ScopeOptions,
    onClose: (scope: Scope) => void,
  ) {
    this.#source = source;
    this.#options = options;
    this.asked = new AskedOptions(options.connection);
    this.#label = options.label ?? new CallSite();
    this.#context = context;
    this.#enter = context.bind(this);
    this.#onClose = onClose;
    if (options.after !== undefined) this.writes.take(options.after);
  }

  /** A token of what its work has written, its option `after` included; see `engine.consistencyToken()`. */
  get consistencyToken(): string {
    return this.#writes?.token ?? '';
  }

  /** What its work has written, as far as it was noted. @internal */
  get writes(): WriteMark {
    return (this.#writes ??= new WriteMark());
  }

  /** The label, or where the scope was opened. */
  get origin(): string {
    return String(this.#label);
  }

  /** The engine that opened it. */
  get engine(): object {
    return this.#source.engine;
  }

  /** The option `owner`. */
  get owner(): object | undefined {
    return this.#options.owner;
  }

  /** True until the last lease has ended. */
  get isOpen(): boolean {
    return this.#state !== 'closed';
  }

  /** What the scope holds of the pool. */
  get pooled(): PooledConnection | undefined {
    return this.#connection?.pooled;
  }

  /** Runs `work` in this scope, beside its unit: what it writes after the unit's end commits itself. */
  run<T>(work: () => T): T {
    return this.#enter(work);
  }

  /** Runs `work` in what is around this scope: what follows the end of the scope is not late work of it. */
  runOutside<T>(work: () => T): T {
    return this.#context.runOutside(this, work);
  }

  /**
   * One run of the scope's work, such as a handler: the one that is open, or a new one once that has ended. A
   * new one has a transaction of its own where the former had one.
   *
   * @throws ScopeEndedError once the scope has closed.
   */
  openUnit(): UnitOfWork {
    this.expectOpen();
    if (this.#unit?.isOpen === true) return this.#unit;
    this.#unit = new UnitOfWork(this, (unit) => this.#bindUnit(unit));
    if (this.#state === 'settled') this.#beginAgain();
    return this.#unit;
  }

  /** A part of the open unit that can be undone and repeated, while the unit goes on. @internal */
  openRun(): UnitOfWork {
    return new UnitOfWork(this, (run) => this.#bindRun(run), this.#unit);
  }

  // A transaction of an interceptor is the handler's, too.
  #bindRun(run: UnitOfWork): <T>(work: () => T) => T {
    return this.#context.openedIn(this)?.run ?? this.#context.bind(this, run);
  }

  // And one of a middleware, unless the handler is in the scope's own transaction.
  #bindUnit(unit: UnitOfWork): <T>(work: () => T) => T {
    const own = this.#context.bind(this, unit);
    const inside = this.#context.openedIn(this);
    if (inside === undefined) return own;
    return (work) => {
      const isInside = this.transaction === undefined || inside.connection === this.#connection;
      return isInside ? inside.run(work) : own(work);
    };
  }

  /**
   * Undoes what the unit has written and refuses what `runs` left running: the next run has a transaction
   * of its own. A caller in a transaction inside the unit has undone its run already. @internal
   *
   * @returns false where `runs` go on
   */
  async undoRuns(runs: readonly UnitOfWork[]): Promise<boolean> {
    if (this.#state !== 'open' || !this.#context.isDirectlyIn(this)) return false;
    const { transaction } = this;
    const connection = this.#connection;
    for (const run of runs) run.end(transaction !== undefined);
    if (transaction === undefined || connection === undefined || this.#options.commit === 'explicit')
      return true;
    // The hooks of the transaction run after it already.
    connection.core.switchToAutocommit();
    try {
      await this.run(() => transaction.rollback());
    } finally {
      // A client that went away meanwhile has ended the unit.
      if (this.#unit?.isOpen === true) this.#beginAgain();
    }
    return true;
  }

  #beginAgain(): void {
    this.#state = 'open';
    this.#connection?.core.switchToAutocommit(false);
    if (this.#connection !== undefined) this.#beginTransaction(this.#connection);
  }

  // AUTOCOMMIT promises that each statement is stored once it was answered: such a scope is not a
  // transaction.
  #beginTransaction({ core }: AsyncConnection): void {
    if (!core.options.isLate && core.options.isAutocommit) return;
    this.#hadTransaction = true;
    core.transactions.begin({ label: this.#label });
  }

  /** A wait of the scope's work for a connection, which {@link leaveLine} ends. @internal */
  waitInLine<T>(wait: (end: WaitEnd) => Promise<T>, given?: WaitSignal): Promise<T> {
    const end = new WaitEnd();
    const waits = (this.#waits ??= new Set());
    waits.add(end);
    return end.follow([given], () => wait(end)).finally(() => waits.delete(end));
  }

  /** Nothing takes the scope's answer any more: work that has not begun does not wait for a connection. */
  leaveLine(): void {
    if (this.pooled !== undefined) return;
    for (const end of this.#waits ?? []) {
      end.abort(
        new ScopeEndedError(
          `the client of ${this.origin} disconnected while its work waited for a connection: it was not begun.`,
        ),
      );
    }
  }

  /** Keeps the scope open until it is released. Throws {@link ScopeEndedError} once the scope has closed. */
  lease(): Lease {
    this.expectOpen();
    this.#leases += 1;
    return new ScopeLease(() => this.#release());
  }

  /** True once the scope's connection was asked for: then all of the scope's work runs on it. @internal */
  get hasConnection(): boolean {
    return this.#connection !== undefined;
  }

  /** The scope's connection, where it was asked for. @internal */
  get ownConnection(): AsyncConnection | undefined {
    return this.#connection;
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
    const { known, late } = this.asked;
    const connection = makeConnection(this.#source, {
      mode: isExplicit ? 'scoped' : 'transaction',
      late,
      ended: () => this.#endedError(),
    });
    const { core } = connection;
    if (late === undefined) core.addOptions(known);
    this.#hadTransaction ||= isExplicit;
    if (this.#state === 'settled') core.switchToAutocommit();
    else if (!isExplicit) this.#beginTransaction(connection);
    return connection;
  }

  /** The transaction that all work of the scope is part of, where there is one. */
  get transaction(): RootTransaction<AsyncConnection> | undefined {
    return this.#connection?.core.explicitRoot;
  }

  /** A root on the scope's connection that waits for the one before it. @internal */
  enqueueTransaction(options: TransactionOptions): RootTransaction<AsyncConnection> {
    return this.connection.core.enqueueTransaction(options);
  }

  /**
   * The work of the scope has succeeded: commits its transaction. What comes later in the scope autocommits.
   */
  complete(): Promise<void> {
    const transaction = this.#end();
    return transaction === undefined ? ENDED : this.run(() => transaction.commit());
  }

  /**
   * The work of the scope has failed: rolls its transaction back. What comes later in the scope autocommits.
   *
   * @returns true when there was something to undo
   */
  fail(): Promise<boolean> {
    const transaction = this.#end();
    return transaction === undefined ? NOTHING_UNDONE : this.#undo(transaction);
  }

  async #undo(transaction: RootTransaction<AsyncConnection>): Promise<boolean> {
    const hadWork = transaction.isActive && transaction.state !== 'pending';
    await this.run(() => transaction.rollback());
    return hadWork;
  }

  /** The transaction that is to be ended, where there is one. */
  #end(): RootTransaction<AsyncConnection> | undefined {
    if (this.#state !== 'open' || this.#options.commit === 'explicit') return undefined;
    const { transaction } = this;
    this.#state = 'settled';
    this.#unit?.end(transaction !== undefined);
    // The hooks of the transaction run after it already.
    this.#connection?.core.switchToAutocommit();
    return transaction;
  }

  /** Refuses what needs an open scope: its connection, a lease. @internal */
  expectOpen(): void {
    if (this.#state === 'closed') throw this.#endedError();
  }

  /** What refuses work after the end of a scope that was one transaction. @internal */
  get overError(): ScopeEndedError | undefined {
    return this.#state === 'closed' && this.#hadTransaction ? this.#endedError() : undefined;
  }

  #endedError(): ScopeEndedError {
    return new ScopeEndedError(
      `the scope of ${this.origin} has already ended. Check for a promise that is not awaited, or a timer or stream ` +
        `that is still running. Work that must outlive the scope needs a scope of its own: engine.scope().`,
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
    const left = connection.core.explicitRoot;
    if (left?.isActive === true && left.state !== 'pending') this.#warn();
    try {
      // Often called by code in the scope, whose context refuses the connection from now on.
      await this.runOutside(() => connection.close());
    } finally {
      // What outlives the scope, a socket's write or a timer, keeps the scope in its async context.
      this.#connection = undefined;
      this.#onClose(this);
    }
  }

  #warn(): void {
    if (this.#options.commit !== 'explicit') return;
    this.#source.warn(
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
