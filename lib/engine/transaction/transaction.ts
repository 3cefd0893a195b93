import { CallSite } from '../call-site.js';
import type { Control } from '../driver/driver.js';
import { DBAPIError } from '../errors.js';
import { TransactionHooks } from './hooks.js';
import type { HookPhase, TransactionHook } from './hooks.js';
import { StatementGate } from './statement-gate.js';
import { busy, ended, failedEarlier, lost } from './refusals.js';
import type { TransactionHost, TransactionOwner } from './transaction-host.js';

/**
 * `pending`: nothing was sent yet. `failed`: a statement failed and the server refuses all others. `cancelled`: its
 * outer transaction ended, or the connection was lost.
 */
export type TransactionState = 'pending' | 'active' | 'failed' | 'committed' | 'rolled-back' | 'cancelled';

/** Why an end can only be a rollback. `isExpected`: the user asked for it, so that nothing is thrown for it. */
export interface RollbackReason {
  readonly cause: unknown;
  readonly isExpected: boolean;
}

const NO_CONTROL: readonly Control[] = [];

/** What root and nested transactions share: the state, the gate for statements, the hooks. */
export abstract class Transaction<Connection = unknown> {
  /** The connection that this transaction lives on. */
  readonly connection: Connection;
  abstract readonly nested: boolean;
  abstract readonly parent: Transaction<Connection> | undefined;
  protected readonly host: TransactionHost;

  readonly #label: string | CallSite;
  readonly #gate = new StatementGate();
  #state: TransactionState = 'pending';
  #child: Transaction<Connection> | undefined;
  #handle: Transaction<Connection> | undefined;
  #firstError: unknown;
  #rollbackReason: RollbackReason | undefined;
  #hooks: TransactionHooks | undefined;

  constructor(owner: TransactionOwner<Connection>, label: string | undefined) {
    this.connection = owner.connection;
    this.host = owner.host;
    this.#label = label ?? new CallSite();
  }

  get owner(): TransactionOwner<Connection> {
    return { connection: this.connection, host: this.host };
  }

  get state(): TransactionState {
    return this.#state;
  }

  /** True until the transaction has ended; also after a failed statement. */
  get isActive(): boolean {
    return this.#state === 'pending' || this.#state === 'active' || this.#state === 'failed';
  }

  /** Active, and the server would still take statements in it. */
  get isValid(): boolean {
    return this.#state === 'pending' || this.#state === 'active';
  }

  /** The label, or where it was begun. */
  get origin(): string {
    return String(this.#label);
  }

  /** The nested transaction that is inside now; its siblings wait. */
  get child(): Transaction<Connection> | undefined {
    return this.#child;
  }

  /** This transaction, or the one begun by a handle inside it that is open now: where statements of its owner run. */
  get innermost(): Transaction<Connection> {
    return this.#handle?.innermost ?? this;
  }

  /** Makes `handle` the place where statements of this transaction's owner run, until it ends. */
  enter(handle: Transaction<Connection>): void {
    this.#handle = handle;
  }

  /** The statement error, or the loss, that made this transaction fail. */
  get firstError(): unknown {
    return this.#firstError;
  }

  get rollbackReason(): RollbackReason | undefined {
    return this.#rollbackReason;
  }

  /** Aborted when the root's `timeout` has passed. */
  abstract get deadline(): AbortSignal | undefined;
  abstract commit(): Promise<void>;
  abstract rollback(): Promise<void>;
  /** The control statements that open this transaction, and those above it that are not open yet. */
  abstract open(): Promise<Control[]>;

  /** Rolls back unless the transaction has ended. */
  async close(): Promise<void> {
    await this.rollback();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rollback();
  }

  /** Refuses a transaction that has ended. There is nothing to send: BEGIN travels with the first statement. */
  start(): Promise<this> {
    return new Promise((resolve) => {
      this.expectUsable();
      resolve(this);
    });
  }

  /** Makes the end of this transaction a rollback; nothing is thrown for it, since it was asked for. */
  setRollbackOnly(reason?: unknown): void {
    this.#rollbackReason ??= { cause: reason, isExpected: true };
  }

  /** A method that took part in this transaction failed: it may not commit, and whoever tries is told. */
  condemn(cause: unknown): void {
    if (this.#rollbackReason?.isExpected !== false) this.#rollbackReason = { cause, isExpected: false };
  }

  /** Runs before COMMIT, may write, and vetoes by throwing. */
  beforeCommit(hook: TransactionHook): void {
    this.#register('beforeCommit', hook);
  }

  /** Runs once the data is committed, with no active transaction. */
  afterCommit(hook: TransactionHook): void {
    this.#register('afterCommit', hook);
  }

  afterRollback(hook: TransactionHook): void {
    this.#register('afterRollback', hook);
  }

  /** Runs at either end, after the other hooks. */
  afterCompletion(hook: TransactionHook): void {
    this.#register('afterCompletion', hook);
  }

  #register(phase: HookPhase, hook: TransactionHook): void {
    this.expectUsable();
    this.#hooks ??= new TransactionHooks();
    this.#hooks.add(phase, hook);
  }

  /** Runs the `beforeCommit` hooks that are registered so far; `commit()` runs those that are left. */
  async prepareCommit(): Promise<void> {
    if (!this.nested && this.isValid && this.#rollbackReason === undefined) await this.#hooks?.beforeCommit();
  }

  /** For an error that cannot be thrown without hiding another one. */
  report(error: unknown): void {
    this.host.report(error);
  }

  protected get hooks(): TransactionHooks | undefined {
    return this.#hooks;
  }

  protected handHooksTo(parent: Transaction<Connection>): void {
    if (this.#hooks === undefined) return;
    parent.#hooks ??= new TransactionHooks();
    this.#hooks.handTo(parent.#hooks);
  }

  /**
   * Runs one statement in this transaction. `send` gets what must travel in front of it: nothing, or the BEGIN and
   * SAVEPOINTs that are not on the server yet. Waits while a nested transaction is inside.
   */
  async execute<T>(send: (control: readonly Control[]) => Promise<T>): Promise<T> {
    this.expectUsable();
    if (this.#state !== 'pending' && !this.#gate.isTaken) return await this.#attempt(() => send(NO_CONTROL));
    await this.#takeTurn();
    if (this.isActive && this.#state === 'pending') {
      try {
        return await this.#attempt(async () => await send(await this.open()));
      } finally {
        this.#gate.giveTurn();
      }
    }
    this.#gate.giveTurn();
    this.expectUsable();
    return await this.#attempt(() => send(NO_CONTROL));
  }

  async #attempt<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await this.#gate.pass(work);
    } catch (error) {
      throw this.#noteFailure(error);
    }
  }

  /** Keeps the first error; a 25P02 behind it is thrown with that error as its cause. */
  #noteFailure(error: unknown): unknown {
    if (this.deadline?.aborted === true) return this.deadline.reason;
    if (!(error instanceof DBAPIError) || error.connectionInvalidated) return error;
    const earlier = this.#firstError ?? this.parent?.firstError;
    if (earlier !== undefined && error.sqlState === '25P02') return failedEarlier(error, earlier);
    const isRefused = this.#state === 'pending' && error.sqlState !== undefined;
    if (isRefused || this.host.serverStatus === 'failed') this.markFailed(error);
    return error;
  }

  protected markFailed(error: unknown): void {
    if (!this.isValid) return;
    this.#state = 'failed';
    this.#firstError = error;
    // It was the BEGIN, in front of a nested transaction's first statement, that was refused.
    if (this.parent?.state === 'pending') this.parent.markFailed(error);
  }

  /** BEGIN or SAVEPOINT has reached the server. */
  protected markActive(): void {
    if (this.#state === 'pending') this.#state = 'active';
  }

  /** A nested transaction keeps the turn for its whole life, from its first statement on. */
  async admit(child: Transaction<Connection>): Promise<void> {
    this.expectUsable();
    if (this.#child === child) return;
    await this.#takeTurn();
    if (!this.isActive) this.#gate.giveTurn();
    this.expectUsable();
    this.#child = child;
  }

  dismiss(child: Transaction<Connection>): void {
    if (this.#handle === child) this.#handle = undefined;
    if (this.#child !== child) return;
    this.#child = undefined;
    this.#gate.giveTurn();
  }

  #takeTurn(): Promise<void> {
    const timeout = this.host.nestedWaitTimeout;
    return this.#gate.takeTurn(timeout, () => busy(timeout, this.origin, this.#child?.origin));
  }

  /** Waits for what was issued before the end: statements waiting their turn, then those on the wire. */
  protected async quiesce(): Promise<void> {
    await this.#child?.cancel();
    await this.#gate.quiet();
  }

  /** The outer transaction ends and this one with it: nothing is sent. */
  async cancel(): Promise<void> {
    await this.quiesce();
    await this.end('cancelled');
  }

  /** The connection is gone. The transaction stays attached until somebody rolls it back. */
  lose(cause: unknown): void {
    this.#child?.lose(cause);
    if (!this.isActive) return;
    this.#state = 'cancelled';
    this.#firstError = cause;
  }

  protected async end(state: 'committed' | 'rolled-back' | 'cancelled'): Promise<void> {
    if (this.isActive) this.#state = state;
    this.parent?.dismiss(this);
    await this.host.detach(this);
  }

  /** Refuses work that comes after the end, and says where the transaction began. */
  expectUsable(): void {
    if (this.isActive) {
      if (this.deadline?.aborted === true) throw this.deadline.reason;
      return;
    }
    const isLost = this.#state === 'cancelled' && this.#firstError !== undefined;
    throw isLost ? lost(this.origin, this.#firstError) : ended(this.origin, this.#state);
  }
}
