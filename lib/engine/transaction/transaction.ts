import { CallSite } from '../util/call-site.js';
import type { Control } from '../driver/driver.js';
import { DBAPIError } from '../errors/errors.js';
import { HookedTransaction } from './hooked-transaction.js';
import type { TransactionOptions } from './isolation.js';
import { StatementGate, type Patience } from './statement-gate.js';
import {
  connectionInvalidated,
  connectionLost,
  nestedBusy,
  transactionAborted,
  transactionEnded,
} from './transaction-errors.js';
import type { Opening, TransactionOwner } from './transaction-host.js';
import { isLive } from './transaction-state.js';
import type { TransactionState } from './transaction-state.js';

/** Sends a statement with what must travel in front of it. */
type Send<T> = (control: readonly Control[]) => Promise<T>;

const NO_CONTROL: readonly Control[] = [];

/** What root and nested transactions share: the state, the gate for statements, the one way to end. */
export abstract class Transaction<Connection = unknown> extends HookedTransaction {
  /** The connection that this transaction lives on. */
  readonly connection: Connection;
  abstract readonly nested: boolean;
  abstract readonly parent: Transaction<Connection> | undefined;
  /** What holds in it: its own options, and for the rest those of the transaction around it. */
  abstract readonly options: TransactionOptions;

  readonly #label: string | CallSite;
  readonly #gate = new StatementGate();
  #state: TransactionState = 'pending';
  #ending: Promise<void> | undefined;
  #child: Transaction<Connection> | undefined;
  #handle: Transaction<Connection> | undefined;
  #firstError: unknown;

  constructor(owner: TransactionOwner<Connection>, label: string | CallSite | undefined) {
    super(owner.host);
    this.connection = owner.connection;
    this.#label = label ?? new CallSite();
  }

  /** @internal */
  get owner(): TransactionOwner<Connection> {
    return { connection: this.connection, host: this.host };
  }

  /** Where it is between its beginning and its end; see {@link TransactionState}. */
  get state(): TransactionState {
    // One that never ran a statement hears of the outer one's end only when it is asked.
    return isLive(this.#state) && this.parent?.isActive === false ? 'cancelled' : this.#state;
  }

  /** True until the transaction has ended; also after a failed statement. */
  get isActive(): boolean {
    return isLive(this.state);
  }

  /** Active, and the server would still take statements in it. */
  get isValid(): boolean {
    return this.state === 'pending' || this.state === 'active';
  }

  /** Nothing was sent in it, and nothing is on its way. @internal */
  get isUntouched(): boolean {
    return this.#state === 'pending' && this.#gate.isQuiet;
  }

  /** The label, or where it was begun. */
  get origin(): string {
    return String(this.#label);
  }

  /** The nested transaction that is inside now; its siblings wait. */
  get child(): Transaction<Connection> | undefined {
    return this.#child;
  }

  /**
   * This transaction, or the one begun by a handle inside it that is open now: where statements of its owner
   * run. @internal
   */
  get innermost(): Transaction<Connection> {
    return this.#handle?.innermost ?? this;
  }

  /** Makes `handle` the place where statements of this transaction's owner run, until it ends. @internal */
  enter(handle: Transaction<Connection>): void {
    this.#handle = handle;
  }

  /** The statement error, or the loss, that made this transaction fail. */
  get firstError(): unknown {
    return this.#firstError;
  }

  /** Aborted when its `timeout` has passed, or that of one around it. */
  abstract get deadline(): AbortSignal | undefined;
  /** Ends it with what was done in it kept. */
  abstract commit(): Promise<void>;
  /** Undoes what was done in it. No effect once it has ended. */
  abstract rollback(): Promise<void>;
  /**
   * The control statements that open this transaction, and those above it that are not open yet. @internal
   */
  abstract open(signal?: AbortSignal): Opening;

  /** Rolls back unless the transaction has ended. */
  async close(): Promise<void> {
    await this.rollback();
  }

  /**
   * Rolls back unless the transaction has ended. A failure is reported, not thrown: it would hide the block's
   * own.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.rollback().catch((failure: unknown) => this.report(failure));
  }

  /**
   * Refuses a transaction that has ended. There is nothing to send: BEGIN travels with the first statement.
   */
  start(): Promise<this> {
    return new Promise((resolve) => {
      this.expectUsable();
      resolve(this);
    });
  }

  /**
   * Runs the `beforeCommit` hooks that are registered so far; `commit()` runs those that are left. @internal
   */
  async prepareCommit(): Promise<void> {
    if (!this.nested && this.isValid && this.rollbackReason === undefined) await this.runBeforeCommit();
  }

  /**
   * Runs one statement: `send` gets the control in front of it; `signal` ends every wait before it. @internal
   */
  execute<T>(send: Send<T>, signal?: AbortSignal): Promise<T> {
    this.expectUsable();
    if (this.#state !== 'pending' && !this.#gate.isTaken) return this.#attempt(send);
    return this.#gate.tryTurn() ? this.#executeFirst(send, signal) : this.#executeInTurn(send, signal);
  }

  async #executeInTurn<T>(send: Send<T>, signal: AbortSignal | undefined): Promise<T> {
    await this.#gate.takeTurn(this.#patience(), signal);
    if (this.isActive && this.#state === 'pending') return await this.#executeFirst(send, signal);
    this.#gate.giveTurn();
    // It was issued before the end began, so that the end waits for it.
    this.expectActive();
    return await this.#attempt(send);
  }

  /** The one that opens the transaction keeps the turn until it is answered. */
  #executeFirst<T>(send: Send<T>, signal: AbortSignal | undefined): Promise<T> {
    return this.#attempt(() => {
      const control = this.open(signal);
      return control instanceof Promise ? control.then(send) : send(control);
    }, true);
  }

  #attempt<T>(send: Send<T>, hasTurn = false): Promise<T> {
    this.#expectOnServer();
    const failed = (error: unknown): unknown => this.#noteFailure(error);
    return this.#gate.pass(() => send(NO_CONTROL), failed, hasTurn);
  }

  // The server never had, or has no longer, what failed: there a statement would commit itself.
  #expectOnServer(): void {
    if (this.state !== 'failed' || this.host.serverStatus !== 'idle') return;
    throw transactionAborted({ sqlState: '25P02' }, this.#firstError);
  }

  /** Keeps the first error; a 25P02 behind it is thrown with that error as its cause. */
  #noteFailure(error: unknown): unknown {
    if (this.deadline?.aborted === true) return this.deadline.reason;
    if (!(error instanceof DBAPIError) || error.connectionInvalidated) return error;
    const earlier = this.#firstError ?? this.parent?.firstError;
    if (earlier !== undefined && error.sqlState === '25P02') return transactionAborted(error, earlier);
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

  /** A nested transaction keeps the turn for its whole life, from its first statement on. @internal */
  admit(child: Transaction<Connection>): Promise<void> | undefined {
    this.expectUsable();
    if (this.#child === child) return undefined;
    if (!this.#gate.tryTurn()) return this.#gate.takeTurn(this.#patience()).then(() => this.#seat(child));
    this.#seat(child);
    return undefined;
  }

  /** `child` has the turn, unless it has to give it back. */
  #seat(child: Transaction<Connection>): void {
    try {
      this.expectUsable();
      this.#expectOnServer();
    } catch (error) {
      this.#gate.giveTurn();
      throw error;
    }
    this.#child = child;
  }

  /** @internal */
  dismiss(child: Transaction<Connection>): void {
    if (this.#handle === child) this.#handle = undefined;
    if (this.#child !== child) return;
    this.#child = undefined;
    this.#gate.giveTurn();
  }

  // Slow siblings may take as long as they like; a wait is hopeless only when no statement runs on the
  // connection.
  #patience(): Patience {
    const timeout = this.host.nestedWaitTimeout;
    return {
      timeout,
      mark: () => this.host.commandMark,
      refusal: () => nestedBusy(timeout, { parent: this.origin, holder: this.#child?.origin }),
    };
  }

  /**
   * Ends a transaction in which nothing was sent and that nobody listens to; false where there is more to it.
   * @internal
   */
  commitUntouched(): boolean {
    if (!this.isUntouched || !this.isActive || this.hasHooks || this.rollbackReason !== undefined)
      return false;
    if (this.deadline?.aborted === true || this.host.observer !== undefined) return false;
    this.#gate.shut();
    void this.end('committed');
    return true;
  }

  /** Refuses what comes from now on, and undoes a nested transaction that nobody has awaited. @internal */
  conclude(): Promise<void> | undefined {
    this.#gate.shut();
    return this.#child?.rollback();
  }

  /**
   * The only way to an end: refuses new work, waits for what was issued before, ends what is nested, then
   * runs `end`. One at a time, so that `end` must look at what the one before it has left.
   */
  protected settle(end: () => Promise<void>): Promise<void> {
    this.#gate.shut();
    const before = this.#ending;
    // A listener that is told of this end may ask for another one, which must find it.
    const isPlain = this.#gate.isQuiet && this.#child === undefined && this.host.observer === undefined;
    this.#ending = before === undefined && isPlain ? end() : this.#endAfter(before, end);
    return this.#ending;
  }

  async #endAfter(before: Promise<void> | undefined, end: () => Promise<void>): Promise<void> {
    // Also where there is nothing before, so that this end is known before it begins.
    await before?.catch(() => undefined);
    if (this.#child !== undefined) await this.#child.cancel();
    if (!this.#gate.isQuiet) await this.#gate.quiet();
    await end();
  }

  /**
   * The outer transaction ends and this one with it: nothing is sent, and its hooks await what becomes of
   * that one. @internal
   */
  async cancel(): Promise<void> {
    await this.settle(async () => {
      if (this.parent !== undefined && this.isActive) this.handHooksTo(this.parent);
      await this.end('cancelled');
    });
  }

  /** The connection is gone. The transaction stays attached until somebody rolls it back. @internal */
  lose(cause: unknown = connectionInvalidated()): void {
    this.#child?.lose(cause);
    if (!this.isActive) return;
    this.#state = 'cancelled';
    this.#firstError = cause;
  }

  /** Undone on the server; still attached until somebody ends it. */
  protected markRolledBack(): void {
    if (this.isActive) this.#state = 'rolled-back';
  }

  protected end(state: 'committed' | 'rolled-back' | 'cancelled'): Promise<void> | undefined {
    if (this.isActive) this.#state = state;
    this.parent?.dismiss(this);
    return this.host.detach(this);
  }

  /**
   * Refuses work that comes after the end, or while the end is under way, and says where the transaction
   * began. @internal
   */
  expectUsable(): void {
    this.expectActive();
    if (this.#gate.isShut) throw transactionEnded(this.origin);
  }

  protected expectActive(): void {
    if (this.deadline?.aborted === true) throw this.deadline.reason;
    if (this.isActive) return;
    // It never heard of the end of the outer one, which knows why.
    if (isLive(this.#state)) this.parent?.expectActive();
    const isLost = this.#state === 'cancelled' && this.#firstError !== undefined;
    throw isLost ? connectionLost(this.origin, this.#firstError) : transactionEnded(this.origin, this.#state);
  }
}
