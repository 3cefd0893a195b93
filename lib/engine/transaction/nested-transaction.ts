import type { Control } from '../driver/driver.js';
import { IllegalStateError, UnexpectedRollbackError } from '../errors/errors.js';
import { sqlStateOf } from '../errors/sqlstate.js';
import { mergeOptions } from '../util/merge-options.js';
import type { TransactionOptions } from './isolation.js';
import { checkNestedOptions, nestedControl, restoringControl } from './nested-options.js';
import { Transaction } from './transaction.js';
import { savepointInAutocommit } from './transaction-errors.js';
import type { ControlEnds } from './transaction-host.js';
import { nameAndReasonOf } from '../errors/thrown.js';

/** PostgreSQL itself becomes slow long before; each level also costs the call stack. */
const MAX_DEPTH = 256;

/**
 * A savepoint. SAVEPOINT travels with its first statement and RELEASE with whatever comes after its end; a
 * failure is ROLLBACK TO and RELEASE, at once, so that its locks are gone.
 *
 * Its `timeout` ends it alone. Its settings and time-outs of the server hold until its end, `readOnly: true`
 * too.
 */
export class NestedTransaction<Connection = unknown> extends Transaction<Connection> {
  override readonly nested = true;
  /** @internal */
  override readonly isAutocommit = false;
  declare readonly parent: Transaction<Connection>;
  readonly #own: TransactionOptions;
  readonly #depth: number;
  readonly #isScoped: boolean;
  /** Set once the server has confirmed the savepoint: only then is there something to go back to. */
  #savepoint: string | undefined;
  /** Its first statement opens the one around it, too. */
  #opensParent = false;

  /**
   * The options are checked where they entered. `isScoped`: it belongs to a function, and not to the holder
   * of a handle.
   *
   * @throws IllegalStateError for options that PostgreSQL settles for the root, where that one has others.
   * @internal
   */
  constructor(parent: Transaction<Connection>, options: TransactionOptions = {}, isScoped = false) {
    parent.expectUsable();
    if (parent.isAutocommit) throw savepointInAutocommit();
    checkNestedOptions(options, parent);
    super(parent.owner, options, parent);
    this.#own = options;
    this.#depth = depthOf(parent) + 1;
    this.#isScoped = isScoped;
    if (this.#depth > MAX_DEPTH) throw tooDeep(parent.origin);
    this.host.observer?.savepoint(this);
  }

  /** 1 for a savepoint in the root. @internal */
  get depth(): number {
    return this.#depth;
  }

  /** @internal */
  override get isScoped(): boolean {
    return this.#isScoped;
  }

  get options(): TransactionOptions {
    return mergeOptions(this.parent.options, this.#own);
  }

  /** @internal */
  prepare(signal?: AbortSignal): Promise<unknown> | undefined {
    this.parent.expectOnServer();
    const admitted = this.parent.inner.admitChild(this, signal);
    return admitted === undefined
      ? this.#prepareInside(signal)
      : admitted.then(() => this.#prepareInside(signal));
  }

  #prepareInside(signal: AbortSignal | undefined): Promise<unknown> | undefined {
    this.#opensParent = this.parent.state === 'pending';
    if (!this.#opensParent) return undefined;
    try {
      return this.parent.prepare(signal)?.catch((error: unknown) => this.#giveUp(error));
    } catch (error) {
      return this.#giveUp(error);
    }
  }

  #giveUp(error: unknown): never {
    this.parent.inner.release(this);
    throw error;
  }

  /** @internal */
  opening(): Control[] {
    try {
      return this.#beginning(this.#opensParent ? this.parent.opening() : []);
    } catch (error) {
      return this.#giveUp(error);
    }
  }

  #beginning(outer: readonly Control[]): Control[] {
    // Options that were asked late may have said so.
    if (this.parent.isAutocommit) throw savepointInAutocommit();
    const savepoint = this.host.nextSavepoint();
    const acknowledged = (): void => {
      this.#savepoint = savepoint;
      this.markActive();
    };
    const text = `SAVEPOINT ${savepoint}`;
    this.host.observer?.sent(text);
    const begin: Control = { kind: 'savepoint', text, prepare: false, acknowledged };
    return [...outer, begin, ...nestedControl(this.#own, this.#depth)];
  }

  /** @internal */
  commitNow(): Promise<void> | undefined {
    return this.isPlain ? this.finish(() => this.#release(), true) : this.#commitInSteps();
  }

  async #commitInSteps(): Promise<void> {
    try {
      await this.finish(() => this.#release(), true);
    } catch (error) {
      if (this.isPastDeadline) await this.rollbackQuietly();
      throw error;
    } finally {
      // What was released has handed its hooks on.
      await this.hooks?.runAfterRollback();
    }
  }

  #release(): Promise<void> | undefined {
    const isKept = this.rollbackReason === undefined && !this.isPastDeadline;
    return isKept && this.isValid ? this.#keep() : this.#undoInstead();
  }

  async #undoInstead(): Promise<void> {
    this.expectActive();
    const { rollbackReason, firstError } = this;
    await this.undo().catch((failure: unknown) => this.host.engine.report(failure));
    if (rollbackReason?.isExpected === true) return;
    const what = rollbackReason === undefined ? 'a statement in it had failed' : 'a method in it had failed';
    const cause = rollbackReason === undefined ? firstError : rollbackReason.cause;
    const message = `the nested transaction started at ${this.origin} was rolled back: ${what} (${nameAndReasonOf(cause)}).`;
    throw new UnexpectedRollbackError(message, { cause });
  }

  #keep(): Promise<void> | undefined {
    try {
      this.expectOnServer();
      this.host.observer?.releaseSavepoint(this, this.#savepoint);
    } catch (error) {
      return this.#undoAfter(error);
    }
    if (this.#savepoint !== undefined) this.#deferRelease(this.#savepoint);
    // What it wrote is the outer one's to commit, and so are its hooks.
    this.hooks?.moveTo(this.parent);
    return this.end('committed');
  }

  async #undoAfter(error: unknown): Promise<never> {
    await this.undo().catch((failure: unknown) => this.host.engine.report(failure));
    throw error;
  }

  #deferRelease(savepoint: string): void {
    const text = `RELEASE SAVEPOINT ${savepoint}`;
    this.host.observer?.sent(text);
    this.host.defer({ kind: 'release', text, prepare: false });
    const restoring = restoringControl(this.#own, this.#depth, this.parent.options);
    if (restoring !== undefined) this.host.defer(restoring);
  }

  /** @internal */
  override markFailed(error: unknown): void {
    // The BEGIN or the SAVEPOINT in front of its first statement was refused: there is nothing to go back to.
    if (this.state === 'pending') this.#failOuter(error);
    super.markFailed(error);
  }

  /** The server can't undo this one alone. */
  #failOuter(error: unknown): void {
    if (this.parent.state === 'pending' || this.host.server?.status === 'failed')
      this.parent.markFailed(error);
  }

  protected notifyRollback(): void {
    if (this.isActive) this.host.observer?.rollbackSavepoint(this, this.#savepoint);
  }

  protected sendRollback(ends: ControlEnds): Promise<void> | undefined {
    if (this.#savepoint === undefined) return undefined;
    this.host.observer?.sent(`ROLLBACK TO SAVEPOINT ${this.#savepoint}`);
    const failed = async (error: unknown): Promise<void> => {
      // CockroachDB refuses it behind a 40001: the whole transaction is to be rolled back.
      if (sqlStateOf(error) !== '40001' || this.host.server?.status !== 'failed') return ends.failed(error);
      this.#failOuter(this.firstError ?? error);
      await ends.answered('');
    };
    return this.host.rollbackTo(this.#savepoint, { ...ends, failed });
  }
}

function depthOf(transaction: Transaction): number {
  return transaction instanceof NestedTransaction ? transaction.depth : 0;
}

function tooDeep(origin: string): IllegalStateError {
  return new IllegalStateError(
    `transactions are nested more than ${MAX_DEPTH} deep (the outer one was started at ${origin}). Does a transactional ` +
      `method call itself without end? Join the outer transaction: propagation 'required'.`,
  );
}
