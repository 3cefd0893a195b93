import { IllegalStateError } from '../errors/errors.js';
import { mergeOptions } from '../util/merge-options.js';
import { Mutex } from '../util/mutex.js';
import { promiseTry } from '../util/promise-try.js';
import type { CallSite } from '../util/call-site.js';
import type { TransactionOptions } from './isolation.js';
import { NestedTransaction } from './nested-transaction.js';
import { RootTransaction } from './root-transaction.js';
import type { Transaction } from './transaction.js';
import { savepointInAutocommit, streamIsOpen } from './transaction-errors.js';
import { runObserved } from './transaction-observation.js';
import type { TransactionOwner } from './transaction-host.js';

/** The connection, as its transactions need to know it. */
export interface TransactionParent<Connection> extends TransactionOwner<Connection> {
  /** The connection's execution options. */
  readonly options: {
    /** What they say about BEGIN; undefined: nothing. */
    readonly ofBegin: TransactionOptions | undefined;
    /** True: a statement outside of transactions commits itself and begins none. */
    readonly isAutocommit: boolean;
    /** True: they are not to be asked for before the first statement. */
    readonly isLate: boolean;
  };
  /** The transaction of the calling async context, when it lives on this connection. */
  ambient(): Transaction<Connection> | undefined;
}

/**
 * Which transaction a connection is in: at most one root at a time, the handles inside it, the blocks around
 * the caller. Roots of frames and the root of the connection's holder take turns.
 */
export class ConnectionTransactions<Connection> {
  readonly #connection: TransactionParent<Connection>;
  /** Held by the root that the session is in now. */
  readonly #turns = new Mutex();
  /** Made with the first of them. */
  #blocks: Transaction<Connection>[] | undefined;
  #inside: RootTransaction<Connection> | undefined;
  #own: RootTransaction<Connection> | undefined;
  #autobegun: RootTransaction<Connection> | undefined;
  #stream: RootTransaction<Connection> | undefined;

  constructor(connection: TransactionParent<Connection>) {
    this.#connection = connection;
  }

  /** The root that the connection's holder began; a frame's is the frame's alone. */
  get explicitRoot(): RootTransaction<Connection> | undefined {
    return this.#own;
  }

  /** True where COMMIT as a statement ends nothing but what a statement has begun by itself. */
  get isUnclaimed(): boolean {
    return (
      this.#connection.ambient() === undefined && (this.#own === undefined || this.#own === this.#autobegun)
    );
  }

  /** The root that the caller is in. */
  get currentRoot(): RootTransaction<Connection> | undefined {
    const ambient = this.#connection.ambient();
    if (ambient === undefined) return this.#own;
    return ambient.root instanceof RootTransaction ? ambient.root : undefined;
  }

  /**
   * The transaction that a statement of this caller belongs to; undefined: it is to begin one. `active`: that
   * of its async context, where it is known.
   */
  current(active?: Transaction<Connection>): Transaction<Connection> | undefined {
    if (this.#blocks !== undefined) this.#expectBlock();
    const innermost = active === undefined ? this.innermost() : active.innermost;
    // A stream's own transaction ends with the stream: what ran in it would share its fate.
    if (this.#stream !== undefined && (innermost === undefined || innermost.isAutocommit))
      throw streamIsOpen(this.#stream.origin);
    return innermost;
  }

  /** The same, for questions: a block whose transaction has ended may ask. */
  innermost(): Transaction<Connection> | undefined {
    return (this.#connection.ambient() ?? this.#own)?.innermost;
  }

  /** The root that a statement outside of transactions begins; undefined: AUTOCOMMIT, it commits itself. */
  beginByStatement(): Transaction<Connection> | undefined {
    return this.#connection.options.isAutocommit ? undefined : (this.#autobegun = this.begin());
  }

  /** The transaction of a stream that was started at `label`; `isOwn`: it ends with the stream. */
  forStream(label: CallSite | undefined): {
    readonly transaction: Transaction<Connection>;
    readonly isOwn: boolean;
  } {
    const current = this.current();
    if (current?.isAutocommit === false) return { transaction: current, isOwn: false };
    if (current === undefined && !this.#connection.options.isAutocommit)
      return { transaction: this.begin({ label }), isOwn: false };
    return { transaction: this.#beginStream(label), isOwn: true };
  }

  #beginStream(label: CallSite | undefined): RootTransaction<Connection> {
    const root = this.#make({ label }, true);
    this.#stream = root;
    root.announce();
    return root;
  }

  // Inside begin(work), a statement after the transaction's end must not begin another one by itself.
  #expectBlock(): void {
    const block = this.#blocks?.at(-1);
    if (block?.isActive === false) block.expectUsable();
  }

  /**
   * Begins the holder's root. It waits, at its first statement, where a frame's root is in progress.
   * `isForced`: BEGIN is sent with AUTOCOMMIT, too.
   */
  begin(options?: TransactionOptions, isForced = false): RootTransaction<Connection> {
    if (this.#blocks !== undefined) this.#expectBlock();
    const own = this.#own;
    // A dead one says itself that it must be rolled back.
    if (own?.isActive === false) own.expectUsable();
    if (own !== undefined) {
      throw new IllegalStateError(
        `this connection already has a transaction (started at ${own.origin}). Commit it, roll it back, or use beginNested().`,
      );
    }
    const root = this.#make(options, isForced);
    this.#own = root;
    root.announce();
    return root;
  }

  /** A root that waits, at its first statement, until the one before it has ended. */
  enqueue(options?: TransactionOptions): RootTransaction<Connection> {
    return this.#make(options, false);
  }

  #make(given: TransactionOptions | undefined, isForced: boolean): RootTransaction<Connection> {
    const { options } = this.#connection;
    if (options.isLate) {
      const late = (): TransactionOptions => mergeOptions(options.ofBegin ?? {}, given);
      return new RootTransaction<Connection>(this.#connection, given, { isForced, line: this, late });
    }
    const defaults = options.ofBegin;
    const settled = defaults === undefined ? given : mergeOptions(defaults, given);
    return new RootTransaction<Connection>(this.#connection, settled, { isForced, line: this });
  }

  /** @internal */
  enter(root: RootTransaction<Connection>, signal: AbortSignal | undefined): Promise<void> | undefined {
    if (this.#inside === root) return undefined;
    // Between the statements of a root that is not a transaction of the server, the session is free for a
    // stream.
    if (root === this.#stream && this.#inside?.isAutocommit === true) return undefined;
    if (!this.#turns.tryAcquire()) {
      return this.#turns.acquire({ signal }).then(() => {
        this.#inside = root;
      });
    }
    this.#inside = root;
    return undefined;
  }

  /**
   * Runs a statement that commits itself: between two roots, never inside one. `signal` ends the wait for
   * that.
   */
  runBetween<T>(
    statement: () => Promise<T>,
    last: () => Promise<void> | undefined,
    signal?: AbortSignal,
  ): Promise<T> {
    const pass = (): Promise<T> =>
      promiseTry(statement).then(
        (result) => this.#leave(last)?.then(() => result) ?? result,
        async (error: unknown) => {
          this.#connection.session.noteFailure(error);
          await this.#leave(last);
          throw error;
        },
      );
    return this.#turns.tryAcquire() ? pass() : this.#turns.acquire({ signal }).then(pass);
  }

  /** `isScoped`: it belongs to a function. Begins a root where there is none. */
  beginNested(isScoped = false): NestedTransaction<Connection> {
    const current = this.current();
    if (current === undefined && !this.#connection.options.isLate && this.#connection.options.isAutocommit)
      throw savepointInAutocommit();
    const parent = current ?? this.begin();
    const nested = new NestedTransaction(parent, {}, isScoped);
    parent.inner.enter(nested);
    return nested;
  }

  /** Commits when `work` returns, rolls back when it throws; its error wins over one of the rollback. */
  async block<T, Tx extends Transaction<Connection>>(
    transaction: Tx,
    work: (transaction: Tx) => Promise<T>,
  ): Promise<T> {
    const blocks = (this.#blocks ??= []);
    blocks.push(transaction);
    try {
      const run = (): Promise<T> => promiseTry(() => runObserved(transaction, () => work(transaction)));
      const result = await transaction.untilDeadline(run);
      if (transaction.isActive || transaction.isLost) await transaction.commit();
      return result;
    } catch (error) {
      await transaction.rollbackQuietly();
      throw error;
    } finally {
      blocks.splice(blocks.lastIndexOf(transaction), 1);
    }
  }

  /** Rolls back all that is open: the connection is being closed. Undefined where that is done at once. */
  rollbackAll(): Promise<void> | undefined {
    const stream = this.#stream?.rollbackQuietly();
    if (stream !== undefined) return stream.then(() => this.currentRoot?.rollback());
    try {
      return this.currentRoot?.rollbackNow();
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The session is gone, and what was in it. Of a root that waits for its turn nothing is. */
  onConnectionLost(cause: unknown): void {
    this.#stream?.onConnectionLost(cause);
    (this.#inside ?? this.#own)?.onConnectionLost(cause);
  }

  /** Lets go of the root; `last`, which never rejects, is done before another one may begin. */
  onEnded(transaction: object, last: () => Promise<void> | undefined): Promise<void> | undefined {
    if (transaction === this.#stream) this.#stream = undefined;
    // The owner of one whose time ran out has yet to hear of it: its statements must not begin another one.
    if (transaction === this.#own && !this.#own.isExpired) this.#own = undefined;
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
