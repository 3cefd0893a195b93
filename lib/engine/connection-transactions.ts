import { IllegalStateError } from './errors.js';
import { Mutex } from './mutex.js';
import type { TransactionOptions } from './transaction/isolation.js';
import { NestedTransaction } from './transaction/nested-transaction.js';
import { RootTransaction } from './transaction/root-transaction.js';
import type { Transaction } from './transaction/transaction.js';
import type { TransactionOwner } from './transaction/transaction-host.js';

/** What the transactions of one connection need to know of it. */
export interface TransactionContext<Connection> {
  owner(): TransactionOwner<Connection>;
  /** What the connection's execution options say about BEGIN. */
  defaults(): TransactionOptions;
  /** The transaction of the calling async context, when it lives on this connection. */
  ambient(): Transaction<Connection> | undefined;
}

/** Which transaction a connection is in: at most one root at a time, the handles inside it, the blocks around the caller. */
export class ConnectionTransactions<Connection> {
  readonly #context: TransactionContext<Connection>;
  /** Held by the root that the connection has now. */
  readonly #turns = new Mutex();
  readonly #blocks: Transaction<Connection>[] = [];
  #root: RootTransaction<Connection> | undefined;

  constructor(context: TransactionContext<Connection>) {
    this.#context = context;
  }

  get root(): RootTransaction<Connection> | undefined {
    return this.#root;
  }

  /** The transaction that a statement of this caller belongs to. */
  current(): Transaction<Connection> | undefined {
    const block = this.#blocks.at(-1);
    // Inside begin(work), a statement after the transaction's end must not begin another one by itself.
    if (block !== undefined && !block.isActive) block.expectUsable();
    return (this.#context.ambient() ?? this.#root)?.innermost;
  }

  begin(options?: TransactionOptions): RootTransaction<Connection> {
    const root = new RootTransaction(this.#context.owner(), { ...this.#context.defaults(), ...options });
    if (!this.#turns.tryAcquire()) {
      const begun = this.#root === undefined ? '' : ` (begun at ${this.#root.origin})`;
      throw new IllegalStateError(
        `this connection is in a transaction already${begun}. Commit it, roll it back, or use beginNested().`,
      );
    }
    this.#root = root;
    return root;
  }

  /** A root that waits, at its first statement, until the one before it has ended. */
  queue(options?: TransactionOptions): RootTransaction<Connection> {
    let turn: Promise<void> | undefined;
    const takeTurn = async (): Promise<void> => {
      await this.#turns.acquire();
      this.#root = root;
    };
    const merged = { ...this.#context.defaults(), ...options };
    const root: RootTransaction<Connection> = new RootTransaction(this.#context.owner(), merged, () => {
      turn ??= takeTurn();
      return turn;
    });
    return root;
  }

  beginNested(): NestedTransaction<Connection> {
    const parent = this.current() ?? this.begin();
    const nested = new NestedTransaction(parent);
    parent.enter(nested);
    return nested;
  }

  /** Commits when `work` returns, rolls back when it throws; its error wins over one of the rollback. */
  async block<T, Tx extends Transaction<Connection>>(
    transaction: Tx,
    work: (transaction: Tx) => Promise<T>,
  ): Promise<T> {
    this.#blocks.push(transaction);
    try {
      const result = await work(transaction);
      if (transaction.isActive) await transaction.commit();
      return result;
    } catch (error) {
      const { host } = this.#context.owner();
      await transaction.rollback().catch((failure: unknown) => host.report(failure));
      throw error;
    } finally {
      this.#blocks.splice(this.#blocks.lastIndexOf(transaction), 1);
    }
  }

  lose(cause: unknown): void {
    this.#root?.lose(cause);
  }

  /** Lets go of the root; `last` is done before another one may begin. */
  async detach(transaction: object, last: () => Promise<void>): Promise<void> {
    if (transaction !== this.#root) return;
    this.#root = undefined;
    try {
      await last();
    } finally {
      this.#turns.release();
    }
  }
}
