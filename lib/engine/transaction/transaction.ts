import { NO_CONTROL, type AnswerReceiver, type Control } from '../driver/driver.js';
import { DBAPIError, IllegalStateError } from '../errors/errors.js';
import { CallSite } from '../util/call-site.js';
import { settled } from '../util/promise-try.js';
import { isWrite } from './command-tag.js';
import { Deadline, eitherSignal, untilAborted } from './deadline.js';
import { TransactionHooks, type HookPhase, type TransactionHook } from './hooks.js';
import type { TransactionOptions } from './isolation.js';
import { InnerTransactions } from './inner-transactions.js';
import { StatementGate, refuseLate } from './statement-gate.js';
import * as refused from './transaction-errors.js';
import type { ControlEnds, TransactionHost, TransactionOwner } from './transaction-host.js';
import type { TransactionObservation } from './transaction-observation.js';
import { LIVE, type EndState, type RollbackReason, type TransactionState } from './transaction-state.js';

/** Sends a statement with what must travel in front of it; `receiver` may be handed to the driver. */
type Send<T> = (control: readonly Control[], receiver?: AnswerReceiver) => Promise<T>;
type End = () => Promise<void> | undefined;

/** What root and nested transactions share: the state, the gate for statements, the one way to end. */
export abstract class Transaction<Connection = unknown> {
  /** @internal */
  readonly owner: TransactionOwner<Connection>;
  abstract readonly nested: boolean;
  readonly parent: Transaction<Connection> | undefined;
  /** The outermost one around it, or itself. @internal */
  readonly root: Transaction<Connection>;
  /** What holds in it: its own options, and for the rest those of the transaction around it. */
  abstract readonly options: TransactionOptions;
  /** Made with the first of them. @internal */
  hooks: TransactionHooks | undefined;
  /** @internal */
  readonly host: TransactionHost;
  /** Aborted when its `timeout` has passed, or that of one around it. */
  readonly deadline: AbortSignal | undefined;

  readonly #label: string | CallSite;
  /** @internal */
  readonly gate = new StatementGate();
  readonly #deadline: Deadline | undefined;
  #inner: InnerTransactions<Transaction<Connection>> | undefined;
  #state: TransactionState = 'pending';
  #ending: Promise<void> | undefined;
  #firstError: unknown;
  /** What the session had counted when BEGIN or SAVEPOINT was confirmed; false: it does not count. */
  #endsBefore: number | false = false;
  protected rollbackReason: RollbackReason | undefined;
  /** Its time ran out and its owner has yet to end it: statements of the owner are refused. @internal */
  isExpired = false;
  /** Set once something observes it. @internal */
  observation: TransactionObservation | undefined;
  /** A statement in it has changed rows or the schema, as far as command tags tell. @internal */
  hasWritten = false;

  constructor(
    owner: TransactionOwner<Connection>,
    { label, timeout }: TransactionOptions,
    parent?: Transaction<Connection>,
  ) {
    this.owner = owner;
    this.host = owner.session;
    this.parent = parent;
    this.root = parent?.root ?? this;
    this.#label = label ?? new CallSite();
    if (timeout !== undefined) this.#deadline = new Deadline(timeout, this, () => void this.#expire());
    this.deadline = this.#deadline?.signal ?? parent?.deadline;
  }

  /** The connection that this transaction lives on. */
  get connection(): Connection {
    return this.owner.connection;
  }

  /** Where it is between its beginning and its end; see {@link TransactionState}. */
  get state(): TransactionState {
    // One that never ran a statement hears of the outer one's end only when it is asked.
    return this.parent?.isActive === false && LIVE.has(this.#state) ? 'cancelled' : this.#state;
  }

  /** True until the transaction has ended; also after a failed statement. */
  get isActive(): boolean {
    return LIVE.has(this.state);
  }

  /** Active, and the server would still take statements in it. */
  get isValid(): boolean {
    return this.state === 'pending' || this.state === 'active';
  }

  /** The connection was lost, or something else ended it on the server: it must be rolled back. @internal */
  get isLost(): boolean {
    return this.#state === 'cancelled' && this.#firstError !== undefined;
  }

  /** Nothing was sent in it, and nothing is on its way. @internal */
  get isUntouched(): boolean {
    return this.#state === 'pending' && this.gate.isQuiet;
  }

  /** True: no BEGIN is sent, each statement commits itself. @internal */
  abstract readonly isAutocommit: boolean;

  /** True: it belongs to a function, and what that leaves unawaited is undone. @internal */
  abstract readonly isScoped: boolean;

  /** The label, or where it was started. */
  get origin(): string {
    return String(this.#label);
  }

  /** This transaction, or the handle opened inside it: where statements of its owner run. @internal */
  get innermost(): Transaction<Connection> {
    return this.#inner?.handle?.innermost ?? this;
  }

  /** What is inside it. @internal */
  get inner(): InnerTransactions<Transaction<Connection>> {
    return (this.#inner ??= new InnerTransactions<Transaction<Connection>>(this, this.gate, this.host));
  }

  /** The statement error, or the loss, that made this transaction fail. */
  get firstError(): unknown {
    return this.#firstError;
  }

  protected get isPastDeadline(): boolean {
    return this.deadline?.aborted === true;
  }

  /** Makes the end of this transaction a rollback; nothing is thrown for it, since it was asked for. */
  setRollbackOnly(reason?: unknown): void {
    this.rollbackReason ??= { cause: reason, isExpected: true };
  }

  /** A method that took part in it failed: it may not commit, and a commit throws. @internal */
  markRollbackOnly(cause: unknown): void {
    if (this.rollbackReason?.isExpected !== false) this.rollbackReason = { cause, isExpected: false };
  }

  /** Runs before COMMIT, may write, and vetoes by throwing. */
  beforeCommit(hook: TransactionHook): void {
    this.#addHook('beforeCommit', hook);
  }

  /** Runs once the data is committed, with no active transaction. */
  afterCommit(hook: TransactionHook): void {
    this.#addHook('afterCommit', hook);
  }

  /** Runs once the data is rolled back, with no active transaction. */
  afterRollback(hook: TransactionHook): void {
    this.#addHook('afterRollback', hook);
  }

  /** Runs at either end, after the other hooks; also when the outcome of COMMIT is unknown. */
  afterCompletion(hook: TransactionHook): void {
    this.#addHook('afterCompletion', hook);
  }

  #addHook(phase: HookPhase, hook: TransactionHook): void {
    this.expectUsable();
    (this.hooks ??= new TransactionHooks(this.host.engine)).add(phase, hook);
  }

  /**
   * Ends it with what was done in it kept: a root commits; a nested one releases its savepoint, and the outer
   * transaction goes on.
   *
   * @throws UnexpectedRollbackError when a statement in it had failed: it is rolled back instead.
   * @throws CommitOutcomeUnknownError when the connection was lost during COMMIT: nothing says how it ended.
   * @throws CommitLostError when it was lost and the server has said that nothing is stored.
   * @throws AfterCommitError when the data is stored and an `afterCommit` hook failed.
   */
  commit(): Promise<void> {
    return settled(() => this.commitNow());
  }

  /** The same as `commit()`, and undefined where that is done at once; may throw. @internal */
  abstract commitNow(): Promise<void> | undefined;
  /** Waits until it can be opened; undefined where that is now. May throw. @internal */
  abstract prepare(signal?: AbortSignal): Promise<unknown> | undefined;
  /** The control statements that open it, and those above it that are not open yet. @internal */
  abstract opening(): Control[];
  protected abstract notifyRollback(): void;
  /** Undoes on the server what was done in it; undefined where nothing was. */
  protected abstract sendRollback(ends: ControlEnds): Promise<void> | undefined;

  /** Undoes what was done in it; one around it goes on. No effect once it has ended. */
  rollback(): Promise<void> {
    return settled(() => this.rollbackNow());
  }

  /** The same, and undefined where that is done at once; may throw. @internal */
  rollbackNow(): Promise<void> | undefined {
    return this.isPlain ? this.finish(() => this.#undoAndEnd()) : this.#rollBackInSteps();
  }

  async #rollBackInSteps(): Promise<void> {
    this.isExpired = false;
    try {
      await this.finish(() => this.undo());
    } catch (error) {
      throw this.host.observer?.replacementOf(error) ?? error;
    } finally {
      if (this.#firstError instanceof IllegalStateError) await this.hooks?.runAfterUnknown();
      else if (this.state !== 'committed') await this.hooks?.runAfterRollback();
    }
  }

  /** For where another error wins: a failure is reported. @internal */
  async rollbackQuietly(): Promise<void> {
    await this.rollback().catch((failure: unknown) => this.host.engine.report(failure));
  }

  /** Rolls back unless the transaction has ended. */
  async close(): Promise<void> {
    await this.rollback();
  }

  /** Rolls back unless it has ended. A failure is reported, not thrown: it would hide the block's own. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.rollbackQuietly();
  }

  /**
   * Refuses a transaction that has ended. There is nothing to send: BEGIN travels with the first statement.
   */
  async start(): Promise<this> {
    this.expectUsable();
    return this;
  }

  /**
   * Runs `work` with this transaction as the active one: what it runs through the engine, and in
   * `@Transactional` methods, is part of it. The transaction goes on when `work` has ended: its owner commits
   * it.
   *
   * @throws TransactionEndedError when the transaction has ended.
   * @throws TransactionTimeoutError when its time has passed, as soon as all is undone, whatever `work` waits
   * for.
   *
   * @example
   * ```ts
   * await using transaction = await connection.begin();
   * await transaction.within(() => orders.place(order));
   * await transaction.commit();
   * ```
   */
  async within<T>(work: () => Promise<T>): Promise<T> {
    this.expectUsable();
    const inside = (): Promise<T> => this.host.engine.inside(this, work);
    // Its owner has yet to hear of the end.
    return await this.untilDeadline(inside, () => this.#expire());
  }

  /** Runs the `beforeCommit` hooks registered so far; `commit()` runs those that are left. @internal */
  async prepareCommit(): Promise<void> {
    if (!this.nested && this.isValid && this.rollbackReason === undefined)
      await this.untilDeadline(async () => this.hooks?.runBeforeCommit());
  }

  /**
   * What `work` gives. Once the deadline has passed it rejects as soon as all is undone, whatever `work` is
   * waiting for. @internal
   */
  untilDeadline<T>(work: () => Promise<T>, undo: End = () => this.rollbackQuietly()): Promise<T> {
    return this.deadline ? untilAborted(this.deadline, work, undo) : work();
  }

  /**
   * Runs one statement: `send` gets the control in front of it; `signal` ends every wait before it.
   * `isAlone`: other statements wait until it has ended. @internal
   */
  execute<T>(send: Send<T>, signal?: AbortSignal, isAlone = false): Promise<T> {
    this.expectActive();
    if (this.gate.isClosed) refuseLate(this, refused.transactionEnded(this.origin));
    if (this.#state !== 'pending' && !this.gate.lock.isHeld && !isAlone) return this.#attempt(send);
    const waits = this.deadline === undefined ? signal : eitherSignal(signal, this.deadline);
    return this.gate.lock.tryAcquire() ? this.#runAlone(send, waits) : this.#runInTurn(send, waits, isAlone);
  }

  async #runInTurn<T>(send: Send<T>, signal: AbortSignal | undefined, isAlone: boolean): Promise<T> {
    await this.gate.acquire(this.inner.waitPolicy(), signal);
    if (this.isActive && (isAlone || this.#state === 'pending')) return await this.#runAlone(send, signal);
    this.gate.lock.release();
    // It was issued before the end began, so that the end waits for it.
    this.expectActive();
    return await this.#attempt(send);
  }

  /** Holds the lock until it is answered, as one does that opens the transaction. */
  #runAlone<T>(send: Send<T>, signal: AbortSignal | undefined): Promise<T> {
    const opens = this.#state === 'pending';
    const prepare = () => (opens ? this.prepare(signal) : this.expectOnServer());
    return this.gate.run(this, true, (told) => send(opens ? this.opening() : NO_CONTROL, told), prepare);
  }

  #attempt<T>(send: Send<T>): Promise<T> {
    this.expectOnServer();
    return this.gate.run(this, false, (receiver) => send(NO_CONTROL, receiver));
  }

  /**
   * Its end is one step: nothing is on its way, inside it or told of it, and nothing says how it must end.
   * @internal
   */
  get isPlain(): boolean {
    if (!this.isValid || !this.#isStill || this.#ending !== undefined || this.isPastDeadline) return false;
    return this.hooks === undefined && this.rollbackReason === undefined && !this.#isEndedElsewhere;
  }

  get #isStill(): boolean {
    return this.gate.isQuiet && this.#inner?.child === undefined && this.host.observer === undefined;
  }

  /** @internal */
  answered(result: unknown): void {
    this.expectOnServer();
    if (!this.hasWritten && isWrite(result)) this.noteWrite();
  }

  protected noteWrite(): void {
    this.hasWritten = true;
    this.parent?.noteWrite();
  }

  /** Keeps the first error; a 25P02 behind it is thrown with that error as its cause. @internal */
  failed(error: unknown): unknown {
    this.host.noteFailure(error);
    if (this.isPastDeadline) return this.deadline?.reason;
    if (!(error instanceof DBAPIError) || error.connectionInvalidated || this.isAutocommit) return error;
    if (this.#isEndedElsewhere) return this.#endElsewhere(error);
    const first = error.sqlState === '25P02' ? this.firstFailure : undefined;
    const thrown = first === undefined ? error : refused.transactionAborted(error, first);
    const isRefused = this.#state === 'pending' && error.sqlState !== undefined;
    if (isRefused || this.host.server?.status === 'failed') this.markFailed(thrown);
    return thrown;
  }

  /** What made this one fail, or the one around it. */
  protected get firstFailure(): unknown {
    return this.#firstError ?? this.parent?.firstFailure;
  }

  /** What it may still do is to roll back. @internal */
  markFailed(error: unknown): void {
    if (!this.isValid) return;
    this.#state = 'failed';
    this.#firstError = error;
  }

  /** BEGIN or SAVEPOINT has reached the server. */
  protected markActive(): void {
    if (this.#state === 'pending') this.#state = 'active';
    // Once more where the driver has repeated the flight.
    this.#endsBefore = this.host.server?.transactionEnds ?? false;
  }

  /**
   * The server is in no transaction, or in another one, although BEGIN was confirmed and no end of ours was
   * sent.
   */
  get #isEndedElsewhere(): boolean {
    const { server } = this.host;
    if (this.#state !== 'active' || server === undefined) return false;
    // Until the flight of BEGIN is answered as a whole, the status is that of before: it counts where ends
    // are not counted.
    return (server.transactionEnds ?? server.status === 'idle') !== this.root.#endsBefore;
  }

  /**
   * Refuses where the server is in no transaction any more, which it says with each answer: a statement would
   * commit itself. @internal
   */
  expectOnServer(): undefined {
    if (this.#isEndedElsewhere) throw this.#endElsewhere();
    if (this.#state !== 'failed' || (this.host.server?.status ?? 'idle') !== 'idle') return;
    throw refused.transactionAborted({ sqlState: '25P02' }, this.#firstError);
  }

  #endElsewhere(cause?: unknown): IllegalStateError {
    const error = refused.endedElsewhere(this.root.origin, cause);
    this.root.onConnectionLost(error);
    return error;
  }

  /**
   * The only way to an end: refuses new work, waits for what was issued before, ends what is nested, then
   * runs `end`. One at a time, so that `end` must look at what the one before it has left. `keeps`: what
   * belongs to handles inside it is kept; nested functions that were not awaited are undone.
   */
  protected finish(end: End, keeps = false): Promise<void> | undefined {
    this.gate.isClosed = true;
    // A listener that is told of this end may ask for another one, which must find it.
    const isAtOnce = this.#ending === undefined && this.#isStill;
    return (this.#ending = isAtOnce ? end() : this.#endAfter(this.#ending, end, keeps));
  }

  async #endAfter(before: Promise<void> | undefined, end: End, keeps: boolean): Promise<void> {
    // Also where there is nothing before, so that this end is known before it begins.
    await before?.catch(() => undefined);
    await this.inner.end(keeps);
    await end();
  }

  /**
   * The outer one ends and this one with it: nothing is sent, and its hooks await the outer end. @internal
   */
  async cancel(): Promise<void> {
    await this.finish(async () => {
      if (this.parent !== undefined && this.isActive) this.hooks?.moveTo(this.parent);
      await this.end('cancelled');
    });
  }

  /** It stays attached until its owner rolls it back. @internal */
  onConnectionLost(cause: unknown = refused.connectionInvalidated()): void {
    this.#inner?.child?.onConnectionLost(cause);
    if (!this.isActive) return;
    this.#state = 'cancelled';
    this.#firstError = cause;
  }

  // Undone at once, whatever the work is waiting for, and the connection given back.
  #expire(): Promise<void> | undefined {
    this.isExpired = true;
    return this.finish(() => this.#undoAndEnd())?.catch((error: unknown) => this.host.engine.report(error));
  }

  protected async undo(): Promise<void> {
    try {
      this.notifyRollback();
    } finally {
      await this.#undoAndEnd();
    }
  }

  #undoAndEnd(): Promise<void> | undefined {
    const end = (): Promise<void> | undefined => this.end('rolled-back');
    const failed = async (error: unknown): Promise<never> => {
      this.host.invalidate(error);
      await end();
      throw error;
    };
    let sent: Promise<void> | undefined;
    try {
      if (this.isActive) sent = this.sendRollback({ observation: this.observation, answered: end, failed });
    } catch (error) {
      return failed(error);
    }
    return sent ?? end();
  }

  /** `isKnown`: the server has said so of one that is lost. */
  protected end(state: EndState, isKnown = false): Promise<void> | undefined {
    this.#deadline?.clear();
    if (isKnown || this.isActive) this.#state = state;
    this.observation?.ended(state, state === 'committed' ? undefined : this.#firstError);
    if (this.parent === undefined) return this.host.detach(this);
    this.parent.#inner?.release(this);
    return undefined;
  }

  /** Refuses work that comes after the end, or while the end is under way. @internal */
  expectUsable(): void {
    this.expectActive();
    if (this.gate.isClosed) throw refused.transactionEnded(this.origin);
  }

  /** Refuses a transaction that has ended, and says why. @internal */
  expectActive(): void {
    if (this.isPastDeadline) throw this.deadline?.reason;
    if (this.isActive) return;
    // It never heard of the end of the outer one, which knows why.
    if (LIVE.has(this.#state)) this.parent?.expectActive();
    throw refused.endedError(this.origin, this.#state, this.#firstError);
  }
}
