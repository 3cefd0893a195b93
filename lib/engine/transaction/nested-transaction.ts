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
      return [...control, { text: `SAVEPOINT ${savepoint}`, prepare: false, acknowledged }];
    } catch (error) {
      this.parent.dismiss(this);
      throw error;
    }
  }

  /** Releases the savepoint; after a failed statement it is rolled back instead and that error is thrown. */
  async commit(): Promise<void> {
    await this.quiesce();
    this.expectUsable();
    const { rollbackReason, firstError } = this;
    if (rollbackReason !== undefined || this.state === 'failed') {
      await this.rollback();
      if (rollbackReason?.isExpected === true) return;
      if (rollbackReason === undefined) throw firstError;
      const message = `the nested transaction begun at ${this.origin} was rolled back: a method in it had failed.`;
      throw new UnexpectedRollbackError(message, { cause: rollbackReason.cause });
    }
    if (this.#savepoint !== undefined) this.host.defer(`RELEASE SAVEPOINT ${this.#savepoint}`);
    this.handHooksTo(this.parent);
    await this.end('committed');
  }

  /** Undoes what was done in it; the outer transaction goes on. No effect once the transaction has ended. */
  async rollback(): Promise<void> {
    await this.quiesce();
    if (!this.isActive) return await this.end('rolled-back');
    const savepoint = this.#savepoint;
    try {
      if (savepoint !== undefined) {
        await this.host.command([`ROLLBACK TO SAVEPOINT ${savepoint}`, `RELEASE SAVEPOINT ${savepoint}`]);
      }
    } catch (error) {
      this.host.invalidate(error);
      throw error;
    } finally {
      await this.end('rolled-back');
      const { hooks } = this;
      if (hooks !== undefined) {
        await this.host.outside(() => hooks.afterRollback((error) => this.host.report(error)));
      }
    }
  }
}
