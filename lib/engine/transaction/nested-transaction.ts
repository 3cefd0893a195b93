import type { Control } from '../driver/driver.js';
import { UnexpectedRollbackError } from '../errors.js';
import { Transaction } from './transaction.js';

/**
 * A savepoint. SAVEPOINT travels with its first statement and RELEASE with whatever comes after its end; a failure is
 * ROLLBACK TO and RELEASE, at once, so that its locks are gone.
 */
export class NestedTransaction<Connection = unknown> extends Transaction<Connection> {
  override readonly nested = true;
  override readonly parent: Transaction<Connection>;
  /** Set once the server has confirmed the savepoint: only then is there something to go back to. */
  #savepoint: string | undefined;

  constructor(parent: Transaction<Connection>, label?: string) {
    parent.expectUsable();
    super(parent.owner, label);
    this.parent = parent;
    this.host.watch?.savepoint();
  }

  get deadline(): AbortSignal | undefined {
    return this.parent.deadline;
  }

  async open(): Promise<Control[]> {
    await this.parent.admit(this);
    try {
      const control = this.parent.state === 'pending' ? await this.parent.open() : [];
      const savepoint = this.host.nextSavepoint();
      const acknowledged = (): void => {
        this.#savepoint = savepoint;
        this.markActive();
      };
      this.host.watch?.sent(`SAVEPOINT ${savepoint}`);
      return [...control, { text: `SAVEPOINT ${savepoint}`, prepare: false, acknowledged }];
    } catch (error) {
      this.parent.dismiss(this);
      throw error;
    }
  }

  /** Releases the savepoint; after a failed statement it is rolled back instead and that error is thrown. */
  async commit(): Promise<void> {
    try {
      await this.settle(() => this.#release());
    } finally {
      // What was released has handed its hooks on.
      await this.runAfterRollback();
    }
  }

  /** Undoes what was done in it; the outer transaction goes on. No effect once the transaction has ended. */
  async rollback(): Promise<void> {
    try {
      await this.settle(() => this.#undo());
    } finally {
      await this.runAfterRollback();
    }
  }

  async #release(): Promise<void> {
    this.expectActive();
    const { rollbackReason, firstError } = this;
    if (rollbackReason === undefined && this.state !== 'failed') {
      return await this.#keep();
    }
    await this.#undo().catch((failure: unknown) => this.report(failure));
    if (rollbackReason?.isExpected === true) return;
    if (rollbackReason === undefined) throw firstError;
    const message = `the nested transaction begun at ${this.origin} was rolled back: a method in it had failed.`;
    throw new UnexpectedRollbackError(message, { cause: rollbackReason.cause });
  }

  async #keep(): Promise<void> {
    const { watch } = this.host;
    try {
      watch?.releaseSavepoint(this.#savepoint);
    } catch (error) {
      await this.#undo().catch((failure: unknown) => this.report(failure));
      throw error;
    }
    if (this.#savepoint !== undefined) {
      const release = `RELEASE SAVEPOINT ${this.#savepoint}`;
      watch?.sent(release);
      this.host.defer(release);
    }
    this.handHooksTo(this.parent);
    await this.end('committed');
  }

  async #undo(): Promise<void> {
    const savepoint = this.isActive ? this.#savepoint : undefined;
    try {
      if (this.isActive) this.host.watch?.rollbackSavepoint(savepoint);
    } finally {
      await this.#undoOnServer(savepoint);
    }
  }

  async #undoOnServer(savepoint: string | undefined): Promise<void> {
    try {
      if (savepoint !== undefined) {
        this.host.watch?.sent(`ROLLBACK TO SAVEPOINT ${savepoint}`);
        await this.host.command([`ROLLBACK TO SAVEPOINT ${savepoint}`, `RELEASE SAVEPOINT ${savepoint}`]);
      }
    } catch (error) {
      this.host.invalidate(error);
      throw error;
    } finally {
      await this.end('rolled-back');
    }
  }
}
