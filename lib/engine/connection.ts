import { ConnectionSession } from './connection-session.js';
import type { ConnectionState } from './connection-session.js';
import { ConnectionTransactions } from './connection-transactions.js';
import type { CommandResult, Control } from './driver/driver.js';
import { IllegalStateError, NotStartedError } from './errors.js';
import type { ExecutionOptions, StatementOptions } from './execution-options.js';
import { Executor } from './executor.js';
import type { Invocation } from './invocation.js';
import type { EngineLogger } from './log.js';
import type { Pool, PooledConnection } from './pool/index.js';
import type { StreamSource } from './result/index.js';
import type { CompiledCache } from './statement/index.js';
import { isAutocommit } from './transaction/isolation.js';
import type { TransactionOptions } from './transaction/isolation.js';
import type { NestedTransaction } from './transaction/nested-transaction.js';
import { closed } from './transaction/refusals.js';
import type { RootTransaction } from './transaction/root-transaction.js';
import { TransactionStream } from './transaction/transaction-stream.js';
import type { Transaction } from './transaction/transaction.js';

export type AsyncTransaction = Transaction<AsyncConnection>;

const NO_CONTROL: readonly Control[] = [];

/** What a connection needs of its engine. */
export interface ConnectionSource {
  readonly pool: Pool;
  readonly compiledCache: CompiledCache;
  readonly logger: EngineLogger;
  readonly nestedWaitTimeout: number;
  getExecutionOptions(): ExecutionOptions;
  /** The transaction of the calling async context that lives on `connection`. */
  transactionOn(connection: AsyncConnection): AsyncTransaction | undefined;
  holding(): readonly PooledConnection[];
  outside<T>(work: () => T): T;
}

/**
 * `explicit`: started by `start()`. `scoped`: takes a connection at its first statement and keeps it. `transaction`: the
 * same, but gives it back whenever a transaction has ended.
 */
export type ConnectionMode = 'explicit' | 'scoped' | 'transaction';

/**
 * One connection, for one caller at a time. The first statement begins a transaction; nothing is committed implicitly.
 * Get it from `engine.connect()`; statements are refused with `ResourceClosedError` once it is closed.
 */
export class AsyncConnection extends Executor implements AsyncDisposable {
  readonly #source: ConnectionSource;
  readonly #mode: ConnectionMode;
  readonly #session: ConnectionSession;
  readonly #transactions: ConnectionTransactions<AsyncConnection>;
  #options: ExecutionOptions;

  constructor(source: ConnectionSource, mode: ConnectionMode = 'explicit') {
    super();
    this.#source = source;
    this.#mode = mode;
    this.#options = source.getExecutionOptions();
    this.#session = new ConnectionSession({
      pool: source.pool,
      logger: source.logger,
      nestedWaitTimeout: source.nestedWaitTimeout,
      opensItself: mode !== 'explicit',
      holding: () => source.holding(),
      outside: (work) => source.outside(work),
      lost: (cause) => this.#transactions.lose(cause),
      detached: (transaction) => this.#transactions.detach(transaction, () => this.#rest()),
    });
    this.#transactions = new ConnectionTransactions({
      owner: () => ({ connection: this, host: this.#session }),
      defaults: () => this.#transactionDefaults(),
      ambient: () => source.transactionOn(this),
    });
  }

  /** Takes a connection from the pool. Throws `PoolTimeoutError`, or why the server could not be reached. */
  async start(): Promise<this> {
    await this.#session.start();
    return this;
  }

  get state(): ConnectionState {
    return this.#session.state;
  }

  get closed(): boolean {
    return this.#session.state === 'closed';
  }

  /** The physical connection was lost; the next statement takes another one. */
  get invalidated(): boolean {
    return this.#session.state === 'invalidated';
  }

  /** Lives as long as the physical connection, through all its borrowers. */
  get info(): Map<unknown, unknown> {
    return this.#expectPooled().info;
  }

  /** What this connection holds of the pool; undefined before its first statement. */
  get pooled(): PooledConnection | undefined {
    return this.#session.pooled;
  }

  /** True while a transaction is in progress, also one that has failed. */
  inTransaction(): boolean {
    return this.#transactions.root?.isActive === true;
  }

  inNestedTransaction(): boolean {
    return this.getNestedTransaction() !== undefined;
  }

  /** The root transaction in progress; the same object every time. */
  getTransaction(): RootTransaction<AsyncConnection> | undefined {
    return this.#transactions.root;
  }

  /** The innermost savepoint in progress; the same object every time. */
  getNestedTransaction(): AsyncTransaction | undefined {
    const owner = this.#transactions.innermost();
    return owner?.nested === true ? owner : undefined;
  }

  /** The root begun by whoever holds this connection, whatever transaction the caller is in. */
  get own(): RootTransaction<AsyncConnection> | undefined {
    return this.#transactions.own;
  }

  /**
   * Begins a transaction; nothing is sent before its first statement. Without `work` you get a handle that rolls back
   * unless it is committed. With `work`, the transaction is committed when it returns and rolled back when it throws.
   *
   * @throws IllegalStateError when a transaction is in progress: use `beginNested()`, or end that one first.
   * PendingRollbackError when the one in progress was lost with its connection.
   */
  begin(options?: TransactionOptions): Promise<RootTransaction<AsyncConnection>>;
  begin<T>(
    work: (transaction: RootTransaction<AsyncConnection>) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T>;
  async begin<T>(
    first?: TransactionOptions | ((transaction: RootTransaction<AsyncConnection>) => Promise<T>),
    second?: TransactionOptions,
  ): Promise<T | RootTransaction<AsyncConnection>> {
    this.#expectOpenable();
    if (typeof first !== 'function') return this.#transactions.begin(first);
    return await this.#transactions.block(this.#transactions.begin(second), first);
  }

  /** Begins a savepoint, in a transaction that is begun first when there is none. Same two forms as `begin()`. */
  beginNested(): Promise<NestedTransaction<AsyncConnection>>;
  beginNested<T>(work: (transaction: NestedTransaction<AsyncConnection>) => Promise<T>): Promise<T>;
  async beginNested<T>(
    work?: (transaction: NestedTransaction<AsyncConnection>) => Promise<T>,
  ): Promise<T | NestedTransaction<AsyncConnection>> {
    this.#expectOpenable();
    const nested = this.#transactions.beginNested();
    return work === undefined ? nested : await this.#transactions.block(nested, work);
  }

  /** Commits the transaction in progress; without one it does nothing. */
  async commit(): Promise<void> {
    await this.#transactions.root?.commit();
  }

  /** Rolls the transaction in progress back; without one it does nothing. */
  async rollback(): Promise<void> {
    await this.#transactions.root?.rollback();
  }

  /** Rolls back what was not committed and gives the connection back. Idempotent. */
  async close(): Promise<void> {
    try {
      await this.#transactions.root?.rollback();
    } catch (error) {
      // The session is condemned already; what was not committed is gone either way.
      this.#session.report(error);
    } finally {
      await this.#session.close();
    }
  }

  aclose(): Promise<void> {
    return this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * Ends the physical connection at once; a transaction in progress must be rolled back before the next statement.
   *
   * @throws NotStartedError where there is none yet, ResourceClosedError where there is none any more.
   */
  invalidate(cause?: unknown): void {
    this.#expectOpenable();
    if (this.state === 'unstarted') this.#expectPooled();
    this.#session.invalidate(cause);
  }

  /** Cancels the statement that runs now, if one does. */
  async cancel(): Promise<void> {
    await this.#session.cancel();
  }

  getExecutionOptions(): Readonly<ExecutionOptions> {
    return this.#options;
  }

  /** Adds options for the transactions and statements to come. Those of BEGIN are refused inside a transaction. */
  async executionOptions(options: ExecutionOptions): Promise<this> {
    if (options.isolationLevel !== undefined && this.inTransaction()) {
      throw new IllegalStateError('isolationLevel cannot change in a transaction. Commit or roll back.');
    }
    this.#options = { ...this.#options, ...options };
    return this;
  }

  /** The pooled connection with the driver's own client, inside the transaction in progress. */
  async getRawConnection(): Promise<PooledConnection> {
    const owner = this.#transactions.current();
    if (owner === undefined) await this.#session.ready();
    else await owner.execute((control) => this.#session.executeMany(control, []));
    return this.#expectPooled();
  }

  /** From now on each statement outside a transaction commits itself. */
  letAutocommit(): void {
    this.#options = { ...this.#options, isolationLevel: 'AUTOCOMMIT' };
  }

  /** For the ambient layer: a transaction that waits, at its first statement, for the one before it. */
  queueRoot(options?: TransactionOptions): RootTransaction<AsyncConnection> {
    return this.#transactions.queue(options);
  }

  /** Begins a root transaction at once; nothing is sent. */
  beginRoot(options?: TransactionOptions): RootTransaction<AsyncConnection> {
    return this.#transactions.begin(options);
  }

  protected get statementCache(): CompiledCache {
    return this.#source.compiledCache;
  }

  protected statementDefaults(): StatementOptions {
    return this.#options;
  }

  /** For the engine, which runs its own statements here when this connection's transaction is active. */
  async send(invocation: Invocation): Promise<CommandResult> {
    const autobegin = () => (isAutocommit(this.#options) ? undefined : this.#transactions.begin());
    const owner = this.#transactions.current() ?? autobegin();
    if (owner !== undefined) {
      return await owner.execute((control) => invocation.run(this.#session, control, owner.deadline));
    }
    return await this.#transactions.between(
      async () => {
        await this.#session.ready();
        return await invocation.run(this.#session, NO_CONTROL, undefined);
      },
      () => this.#rest(),
    );
  }

  openStream(invocation: Invocation): StreamSource {
    return new TransactionStream({
      current: () => this.#transactions.current(),
      begin: () => this.beginRoot(),
      isAutocommit: () => isAutocommit(this.#options),
      openPortal: (control, deadline) =>
        this.#session.openPortal(control, invocation.command, invocation.commandOptions(deadline)),
    });
  }

  #transactionDefaults(): TransactionOptions {
    const { isolationLevel, readOnly, deferrable, settings } = this.#options;
    return { isolationLevel, readOnly, deferrable, settings };
  }

  /** Between two transactions. */
  async #rest(): Promise<void> {
    if (this.#mode === 'transaction') await this.#session.giveBack();
  }

  /** Refuses at once what could only fail at its first statement. */
  #expectOpenable(): void {
    if (this.closed) throw closed();
    if (this.state === 'unstarted' && this.#mode === 'explicit') this.#expectPooled();
  }

  #expectPooled(): PooledConnection {
    const { pooled } = this.#session;
    if (pooled !== undefined) return pooled;
    throw new NotStartedError('this AsyncConnection has no connection of the pool. Await start() first.');
  }
}
