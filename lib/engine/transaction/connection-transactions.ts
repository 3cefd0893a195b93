import { IllegalStateError } from '../errors/errors.js';
import { Mutex } from '../util/mutex.js';
import { mergeOptions } from '../util/merge-options.js';
import { promiseTry } from '../util/promise-try.js';
import { TRANSACTION_OPTIONS, type TransactionOptions } from './isolation.js';
import { NestedTransaction } from './nested-transaction.js';
import { RootTransaction } from './root-transaction.js';
import type { Transaction } from './transaction.js';
import type { TransactionOwner } from './transaction-host.js';

/** What the transactions of one connection need to know of it. */
export interface TransactionContext<Connection> {
  owner(): TransactionOwner<Connection>;
  /** What the connection's execution options say about BEGIN; undefined: nothing. */
  defaults(): TransactionOptions | undefined;
  /** True: they are not to be asked for before the first statement. */
  isLate(): boolean;
  /** The transaction of the calling async context, when it lives on this connection. */
  ambient(): Transaction<Connection> | undefined;
}

/**
 * Which transaction a connection is in: at most one root at a time, the handles inside it, the blocks around
 * the caller. Roots of frames and the root of whoever holds the connection take turns.
 */
export class ConnectionTransactions<Connection> {
  readonly #context: TransactionContext<Connection>;
  /** Held by the root that the session is in now. */
  readonly #turns = new Mutex();
  readonly #blocks: Transaction<Connection>[] = [];
  #inside: RootTransaction<Connection> | undefined;
  #own: RootTransaction<Connection> | undefined;

  constructor(context: TransactionContext<Connection>) {
    this.#context = context;
  }

  /** The root of whoever holds the connection; a frame's is the frame's alone. */
  get own(): RootTransaction<Connection> | undefined {
    return this.#own;
  }

  /** The root that the caller is in. */
  get root(): RootTransaction<Connection> | undefined {
    let top = this.#context.ambient();
    if (top === undefined) return this.#own;
    while (top.parent !== undefined) top = top.parent;
    return top instanceof RootTransaction ? top : undefined;
  }

  /** The transaction that a statement of this caller belongs to. */
  current(): Transaction<Connection> | undefined {
    this.#expectBlock();
    return this.innermost();
  }

  /** The same, for questions: a block whose transaction has ended may ask. */
  innermost(): Transaction<Connection> | undefined {
    return (this.#context.ambient() ?? this.#own)?.innermost;
  }

  // Inside begin(work), a statement after the transaction's end must not begin another one by itself.
  #expectBlock(): void {
    const block = this.#blocks.at(-1);
    if (block?.isActive === false) block.expectUsable();
  }

  /** Begins the holder's root. It waits, at its first statement, where a frame's root is in progress. */
  begin(options?: TransactionOptions): RootTransaction<Connection> {
    this.#expectBlock();
    const own = this.#own;
    // A dead one says itself that it must be rolled back.
    if (own?.isActive === false) own.expectUsable();
    if (own !== undefined) {
      throw new IllegalStateError(
        `this connection is in a transaction already (begun at ${own.origin}). Commit it, roll it back, or use beginNested().`,
      );
    }
    const root = this.queue(options);
    this.#own = root;
    root.announce();
    return root;
  }

  /** A root that waits, at its first statement, until the one before it has ended. */
  queue(own?: TransactionOptions): RootTransaction<Connection> {
    const options = own === undefined ? undefined : TRANSACTION_OPTIONS.parse(own);
    const merged = (): TransactionOptions | undefined => {
      const defaults = this.#context.defaults();
      return defaults === undefined ? options : mergeOptions(defaults, options);
    };
    const late = this.#context.isLate() ? merged : undefined;
    const given = late === undefined ? merged() : options;
    let turn: Promise<void> | undefined;
    const inTurn = (): Promise<void> | undefined => {
      if (this.#inside !== root) turn ??= this.#enter(root);
      return turn;
    };
    const root = new RootTransaction<Connection>(this.#context.owner(), given, inTurn, late);
    return root;
  }

  /** Undefined where nobody is inside. */
  #enter(root: RootTransaction<Connection>): Promise<void> | undefined {
    const inside = (): void => {
      this.#inside = root;
    };
    if (!this.#turns.tryAcquire()) return this.#turns.acquire().then(inside);
    inside();
    return undefined;
  }

  /** Runs a statement that commits itself: between two roots, never inside one. */
  between<T>(statement: () => Promise<T>, last: () => Promise<void> | undefined): Promise<T> {
    const pass = (): Promise<T> =>
      promiseTry(statement).then(
        (result) => this.#leave(last)?.then(() => result) ?? result,
        async (error: unknown) => {
          await this.#leave(last);
          throw error;
        },
      );
    return this.#turns.tryAcquire() ? pass() : this.#turns.acquire().then(pass);
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

  /** The session is gone, and what was in it. Of a root that waits for its turn nothing is. */
  lose(cause: unknown): void {
    (this.#inside ?? this.#own)?.lose(cause);
  }

  /** Lets go of the root; `last`, which never rejects, is done before another one may begin. */
  detach(transaction: object, last: () => Promise<void> | undefined): Promise<void> | undefined {
    if (transaction === this.#own) this.#own = undefined;
    return transaction === this.#inside ? this.#leave(last) : undefined;
  }

  #leave(last: () => Promise<void> | undefined): Promise<void> | undefined {
    this.#inside = undefined;
    const resting = last();
    if (resting !== undefined) return resting.then(() => this.#turns.release());
    this.#turns.release();
    return undefined;
  }
}
