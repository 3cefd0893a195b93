import type { ConnectionTransactions } from '../transaction/connection-transactions.js';
import { Executor } from '../execution/executor.js';
import type { TransactionOptions } from '../transaction/isolation.js';
import type { NestedTransaction } from '../transaction/nested-transaction.js';
import type { RootTransaction } from '../transaction/root-transaction.js';
import type { Transaction } from '../transaction/transaction.js';
import { expectFunction } from '../util/argument.js';

/** An executor that has transactions of its own: how they begin and end, and which one is in progress. */
export abstract class TransactionalExecutor<Connection> extends Executor {
  protected abstract readonly transactions: ConnectionTransactions<Connection>;
  /** Refuses at once what could only fail at its first statement. */
  protected abstract expectOpenable(): void;

  /** True while a transaction is in progress, also one that has failed. */
  inTransaction(): boolean {
    return this.transactions.root?.isActive === true;
  }

  /** True while a savepoint is in progress. */
  inNestedTransaction(): boolean {
    return this.getNestedTransaction() !== undefined;
  }

  /** The root transaction in progress; the same object every time. */
  getTransaction(): RootTransaction<Connection> | undefined {
    return this.transactions.root;
  }

  /** The innermost savepoint in progress; the same object every time. */
  getNestedTransaction(): Transaction<Connection> | undefined {
    const owner = this.transactions.innermost();
    return owner?.nested === true ? owner : undefined;
  }

  /** The root begun by whoever holds this connection, whatever transaction the caller is in. @internal */
  get own(): RootTransaction<Connection> | undefined {
    return this.transactions.own;
  }

  /**
   * Begins a transaction; nothing is sent before its first statement. Without `work` you get a handle that
   * rolls back unless it is committed. With `work`, the transaction is committed when it returns and rolled
   * back when it throws.
   *
   * @throws IllegalStateError when a transaction is in progress: use `beginNested()`, or end that one first.
   * PendingRollbackError when the one in progress was lost with its connection.
   */
  begin(options?: TransactionOptions): Promise<RootTransaction<Connection>>;
  begin<T>(
    work: (transaction: RootTransaction<Connection>) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T>;
  async begin<T>(
    first?: TransactionOptions | ((transaction: RootTransaction<Connection>) => Promise<T>),
    second?: TransactionOptions,
  ): Promise<T | RootTransaction<Connection>> {
    this.expectOpenable();
    if (typeof first !== 'function') {
      if (second !== undefined) expectFunction('connection.begin(work, options)', first);
      return this.transactions.begin(first);
    }
    return await this.transactions.block(this.transactions.begin(second), first);
  }

  /**
   * Begins a savepoint, in a transaction that is begun first when there is none. Same two forms as `begin()`.
   */
  beginNested(): Promise<NestedTransaction<Connection>>;
  beginNested<T>(work: (transaction: NestedTransaction<Connection>) => Promise<T>): Promise<T>;
  async beginNested<T>(
    work?: (transaction: NestedTransaction<Connection>) => Promise<T>,
  ): Promise<T | NestedTransaction<Connection>> {
    this.expectOpenable();
    if (work !== undefined) expectFunction('connection.beginNested(work)', work);
    const nested = this.transactions.beginNested();
    return work === undefined ? nested : await this.transactions.block(nested, work);
  }

  /** Commits the transaction in progress; without one it does nothing. */
  async commit(): Promise<void> {
    await this.transactions.root?.commit();
  }

  /** Rolls the transaction in progress back; without one it does nothing. */
  async rollback(): Promise<void> {
    await this.transactions.root?.rollback();
  }

  /**
   * For the ambient layer: a transaction that waits, at its first statement, for the one before it. @internal
   */
  queueRoot(options?: TransactionOptions): RootTransaction<Connection> {
    const root = this.transactions.queue(options);
    root.announce();
    return root;
  }

  /** Begins a root transaction at once; nothing is sent. @internal */
  beginRoot(options?: TransactionOptions): RootTransaction<Connection> {
    return this.transactions.begin(options);
  }
}
