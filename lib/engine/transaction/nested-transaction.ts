import type { Control } from '../driver/driver.js';
import { UnexpectedRollbackError } from '../errors/errors.js';
import { mergeOptions } from '../util/merge-options.js';
import { Deadline } from './deadline.js';
import { checkNestedOptions, nestedControl, restoringText } from './nested-options.js';
import { TRANSACTION_OPTIONS } from './isolation.js';
import type { TransactionOptions } from './isolation.js';
import { Transaction } from './transaction.js';
import type { Opening } from './transaction-host.js';

/**
 * A savepoint. SAVEPOINT travels with its first statement and RELEASE with whatever comes after its end; a
 * failure is ROLLBACK TO and RELEASE, at once, so that its locks are gone.
 *
 * Its `timeout` ends it alone. Its settings and time-outs of the server hold until its end, `readOnly: true`
 * too.
 */
export class NestedTransaction<Connection = unknown> extends Transaction<Connection> {
  override readonly nested = true;
  override readonly parent: Transaction<Connection>;
  /** Set once the server has confirmed the savepoint: only then is there something to go back to. */
  #savepoint: string | undefined;
  readonly #own: TransactionOptions;
  readonly #deadline: Deadline | undefined;

  /**
   * @throws IllegalStateError for options that PostgreSQL settles for the root, where that one has others.
   * @internal
   */
  constructor(parent: Transaction<Connection>, given: TransactionOptions = {}) {
    parent.expectUsable();
    const options = TRANSACTION_OPTIONS.parse(given);
    checkNestedOptions(options, parent);
    super(parent.owner, options.label);
    this.parent = parent;
    this.#own = options;
    const { timeout } = options;
    if (timeout !== undefined) {
      const limited = { origin: () => this.origin, expire: (reason: unknown) => this.#expire(reason) };
      this.#deadline = new Deadline(timeout, limited, parent.deadline);
    }
    this.host.observer?.savepoint();
  }

  get options(): TransactionOptions {
    return mergeOptions(this.parent.options, this.#own);
  }

  get deadline(): AbortSignal | undefined {
    return this.#deadline?.signal ?? this.parent.deadline;
  }

  get #depth(): number {
    let depth = 1;
    for (let outer = this.parent; outer.parent !== undefined; outer = outer.parent) depth += 1;
    return depth;
  }

  /** @internal */
  open(signal?: AbortSignal): Opening {
    const admitted = this.parent.admit(this);
    return admitted === undefined ? this.#openInside(signal) : admitted.then(() => this.#openInside(signal));
  }

  #openInside(signal: AbortSignal | undefined): Opening {
    const dismissed = (error: unknown): never => {
      this.parent.dismiss(this);
      throw error;
    };
    try {
      const outer = this.parent.state === 'pending' ? this.parent.open(signal) : [];
      if (!(outer instanceof Promise)) return this.#beginning(outer);
      return outer.then((control) => this.#beginning(control)).catch(dismissed);
    } catch (error) {
      return dismissed(error);
    }
  }

  #beginning(outer: readonly Control[]): Control[] {
    const savepoint = this.host.nextSavepoint();
    const acknowledged = (): void => {
      this.#savepoint = savepoint;
      this.markActive();
    };
    this.host.observer?.sent(`SAVEPOINT ${savepoint}`);
    const begin: Control = { text: `SAVEPOINT ${savepoint}`, prepare: false, acknowledged };
    return [...outer, begin, ...nestedControl(this.#own, this.#depth)];
  }

  /** Releases the savepoint; after a failed statement it is rolled back instead and that error is thrown. */
  async commit(): Promise<void> {
    try {
      await this.settle(() => this.#release());
    } catch (error) {
      if (this.#deadline?.signal.aborted === true)
        await this.rollback().catch((failure: unknown) => this.report(failure));
      throw error;
    } finally {
      // What was released has handed its hooks on.
      if (this.hasHooks) await this.runAfterRollback();
    }
  }

  /** Undoes what was done in it; the outer transaction goes on. No effect once the transaction has ended. */
  async rollback(): Promise<void> {
    try {
      await this.settle(() => this.#undo());
    } catch (error) {
      throw this.host.observer?.replacementOf(error) ?? error;
    } finally {
      await this.runAfterRollback();
    }
  }

  #release(): Promise<void> {
    const isKept = this.rollbackReason === undefined && this.deadline?.aborted !== true;
    return isKept && this.isValid ? this.#keep() : this.#undoInstead();
  }

  async #undoInstead(): Promise<void> {
    this.expectActive();
    const { rollbackReason, firstError } = this;
    await this.#undo().catch((failure: unknown) => this.report(failure));
    if (rollbackReason?.isExpected === true) return;
    if (rollbackReason === undefined) throw firstError;
    const message = `the nested transaction begun at ${this.origin} was rolled back: a method in it had failed.`;
    throw new UnexpectedRollbackError(message, { cause: rollbackReason.cause });
  }

  async #keep(): Promise<void> {
    try {
      this.host.observer?.releaseSavepoint(this.#savepoint);
    } catch (error) {
      await this.#undo().catch((failure: unknown) => this.report(failure));
      throw error;
    }
    if (this.#savepoint !== undefined) this.#deferRelease(this.#savepoint);
    this.handHooksTo(this.parent);
    const ended = this.end('committed');
    if (ended !== undefined) await ended;
  }

  #deferRelease(savepoint: string): void {
    const release = `RELEASE SAVEPOINT ${savepoint}`;
    this.host.observer?.sent(release);
    this.host.defer(release);
    const restoring = restoringText(this.#own, this.#depth);
    if (restoring !== undefined) this.host.defer(restoring);
  }

  async #undo(): Promise<void> {
    try {
      if (this.isActive) this.host.observer?.rollbackSavepoint(this.#savepoint);
    } finally {
      await this.#undoAndEnd();
    }
  }

  async #undoAndEnd(): Promise<void> {
    try {
      await this.#undoOnServer();
    } finally {
      await this.end('rolled-back');
    }
  }

  async #undoOnServer(): Promise<void> {
    const savepoint = this.isActive ? this.#savepoint : undefined;
    if (savepoint === undefined) return;
    try {
      this.host.observer?.sent(`ROLLBACK TO SAVEPOINT ${savepoint}`);
      await this.host.rollbackTo(savepoint);
    } catch (error) {
      this.host.invalidate(error);
      throw error;
    }
  }

  // Undone at once, whatever the work is waiting for; its turn is over when the work has heard of it.
  #expire(reason: unknown): void {
    this.host.stopWaiting(reason);
    const expiry = this.settle(async () => {
      await this.#undoOnServer();
      this.markRolledBack();
    });
    expiry.catch((failure: unknown) => this.report(failure));
  }

  protected override end(state: 'committed' | 'rolled-back' | 'cancelled'): Promise<void> | undefined {
    this.#deadline?.clear();
    return super.end(state);
  }
}
