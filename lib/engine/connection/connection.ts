import { ConnectionOptions } from './connection-options.js';
import { ConnectionSession, type ConnectionState } from './connection-session.js';
import { ConnectionTransactions } from '../transaction/connection-transactions.js';
import type { ConnectionMode, ConnectionSourceOf } from './connection-source.js';
import { lendDriverClient, type DriverClient, type DriverClientHost } from './driver-client.js';
import type { CommandResult, Control } from '../driver/driver.js';
import { NotStartedError } from '../errors/errors.js';
import {
  parseExecutionOptions,
  transactionOptionsOf,
  type ExecutionOptions,
} from '../execution/execution-options.js';
import type { Dialect } from './dialect.js';
import { Invocation } from '../execution/invocation.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import type { StreamSource } from '../result/stream-source.js';
import type { CompiledCache } from '../statement/compiled-cache.js';
import type { QueryConfig } from '../statement/executable.js';
import { isAutocommit, type IsolationLevel } from '../transaction/isolation.js';
import { askIsolationLevel } from './isolation-question.js';
import { connectionClosed } from '../transaction/transaction-errors.js';
import { ListeningExecutor } from './listening-executor.js';
import { TransactionStream } from './transaction-stream.js';
import type { Transaction } from '../transaction/transaction.js';
import type { ObserverFactory } from '../execution/connection-observer.js';

/** A transaction of an {@link AsyncConnection}: the root or a savepoint. */
export type AsyncTransaction = Transaction<AsyncConnection>;

/** Work that was given its place on the session, with what must travel in front of it. */
type Dispatched<T> = (control: readonly Control[], deadline: AbortSignal | undefined) => Promise<T>;

/** What a connection needs of its engine. */
export type ConnectionSource = ConnectionSourceOf<AsyncConnection>;

/**
 * One connection, for one caller at a time. The first statement begins a transaction; nothing is committed
 * implicitly. Get it from `engine.connect()`; statements are refused with `ResourceClosedError` once it is
 * closed.
 */
export class AsyncConnection extends ListeningExecutor<AsyncConnection> implements AsyncDisposable {
  readonly #source: ConnectionSource;
  readonly #mode: ConnectionMode;
  readonly #session: ConnectionSession;
  readonly #transactions: ConnectionTransactions<AsyncConnection>;
  readonly #options: ConnectionOptions;

  /**
   * Of an engine; `start()` comes next. `late` is asked once, by the first statement, for options that are
   * not known before.
   */
  constructor(source: ConnectionSource, mode: ConnectionMode = 'explicit', late?: () => ExecutionOptions) {
    super();
    this.#source = source;
    this.#mode = mode;
    this.#options = new ConnectionOptions(source.getExecutionOptions(), late);
    this.#session = new ConnectionSession({
      pool: source.pool,
      logger: source.logger,
      limits: source,
      opensItself: mode !== 'explicit',
      holding: () => source.holding(),
      outside: (work) => source.outside(work),
      observer: () => this.observer,
      lost: (cause) => this.#transactions.lose(cause),
      detached: (transaction) => this.#transactions.detach(transaction, () => this.#rest()),
    });
    this.#transactions = new ConnectionTransactions({
      owner: () => ({ connection: this, host: this.#session }),
      defaults: () => transactionOptionsOf(this.statementDefaults()),
      isLate: () => this.#options.isLate,
      ambient: () => source.transactionOn(this),
    });
  }

  /**
   * Takes a connection from the pool, unless `signal` ends the wait. Throws `PoolTimeoutError`, or why the
   * server could not be reached.
   */
  async start(signal?: AbortSignal): Promise<this> {
    await this.#session.start(signal);
    return this;
  }

  /** Whether it has a connection of the pool, and whether that one was lost. */
  get state(): ConnectionState {
    return this.#session.state;
  }

  /** The database and the driver, by name. */
  get dialect(): Dialect {
    return this.#source.dialect;
  }

  /** True after `close()`. */
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

  /** Rolls back what was not committed and gives the connection back. Idempotent. */
  async close(): Promise<void> {
    try {
      await this.#transactions.root?.rollback();
    } catch (error) {
      // The session is condemned already; what was not committed is gone either way.
      this.#session.report(error);
    } finally {
      await this.#session.close();
      this.forgetListeners();
    }
  }

  /** The same as `close()`. */
  aclose(): Promise<void> {
    return this.close();
  }

  /** For `await using`: `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * Ends the physical connection at once; a transaction in progress must be rolled back before the next
   * statement.
   *
   * @throws NotStartedError where there is none yet, ResourceClosedError where there is none any more.
   */
  invalidate(cause?: unknown): void {
    this.expectOpenable();
    if (this.state === 'unstarted') this.#expectPooled();
    this.#session.invalidate(cause);
  }

  /** Cancels the statement that runs now, if one does. PGlite runs it to its end. */
  async cancel(): Promise<void> {
    await this.#session.cancel();
  }

  getExecutionOptions(): Readonly<ExecutionOptions> {
    return this.statementDefaults();
  }

  /**
   * Adds options for the transactions and statements to come. Those of BEGIN are refused inside a
   * transaction.
   */
  async executionOptions(options: ExecutionOptions): Promise<this> {
    const parsed = parseExecutionOptions(options, this.inTransaction());
    this.#options.add(this.observer?.setOptions(parsed) ?? parsed);
    return this;
  }

  /** The pooled connection with the driver's own client, inside the transaction in progress. */
  async getRawConnection(): Promise<PooledConnection> {
    const owner = this.#transactions.current();
    if (owner === undefined) await this.#session.ready();
    else await owner.execute((control) => this.#session.executeMany(control, []));
    return this.#expectPooled();
  }

  /**
   * Hands `work`, code written for the driver, a client whose statements run on this connection and in its
   * transaction, and gives what it returns. The client ends with `work`; a BEGIN that it has not ended is
   * rolled back.
   *
   * @throws IllegalStateError for a BEGIN without an end, and for control of transactions that come not in
   * pairs.
   */
  async run<A extends unknown[], T>(
    work: (client: DriverClient, ...args: A) => Promise<T>,
    ...args: A
  ): Promise<T> {
    this.expectOpenable();
    const host: DriverClientHost = {
      execute: (query) => this.sendRaw(query),
      executeScript: (script) => this.#executeScript(script),
      // Where each statement commits itself, the client's BEGIN is the transaction.
      begin: () =>
        isAutocommit(this.#options.current) && !this.inTransaction() ? this.begin() : this.beginNested(),
      report: (error) => this.#session.report(error),
    };
    return await lendDriverClient(host, (client) => work(client, ...args));
  }

  /**
   * Asks the server for the level of the transaction in progress, else of the next. Begins none; never says
   * AUTOCOMMIT.
   */
  async getIsolationLevel(): Promise<IsolationLevel> {
    return await this.#ask('SHOW transaction_isolation', this.#options.current.isolationLevel !== undefined);
  }

  /** Asks the server for the level of transactions that say nothing of their own. */
  get defaultIsolationLevel(): Promise<IsolationLevel> {
    return this.#ask('SHOW default_transaction_isolation', false);
  }

  #ask(text: string, hasOwnLevel: boolean): Promise<IsolationLevel> {
    const question = this.#invocationOf({ text });
    return askIsolationLevel(
      {
        transactions: this.#transactions,
        hasOwnLevel: hasOwnLevel && !isAutocommit(this.#options.current),
        between: (ask) => this.#between(ask),
      },
      (control, deadline) => question.run(this.#session, control, deadline),
    );
  }

  /** From now on each statement outside a transaction commits itself, or no longer does. @internal */
  letAutocommit(isOn = true): void {
    this.#options.autocommits = isOn;
  }

  protected get observers(): ObserverFactory<AsyncConnection> {
    return this.#source.observers;
  }

  protected get self(): this {
    return this;
  }

  protected get transactions(): ConnectionTransactions<AsyncConnection> {
    return this.#transactions;
  }

  protected get statementCache(): CompiledCache {
    return this.#source.compiledCache;
  }

  protected statementDefaults(): ExecutionOptions {
    return this.#options.current;
  }

  /**
   * For the engine, which runs its own statements here when this connection's transaction is active.
   * @internal
   */
  send(invocation: Invocation): Promise<CommandResult> {
    const run: Dispatched<CommandResult> = (control, deadline) =>
      invocation.run(this.#session, control, deadline);
    return invocation.wait((signal) => this.#dispatch(run, signal));
  }

  /** Runs `work` in the transaction in progress; it gets what must travel in front of it. */
  #dispatch<T>(work: Dispatched<T>, signal?: AbortSignal): Promise<T> {
    const owner =
      this.#transactions.current() ??
      (isAutocommit(this.#options.current) ? undefined : this.#transactions.begin());
    if (owner !== undefined) return owner.execute((control) => work(control, owner.deadline), signal);
    this.observer?.line(
      'begin',
      'BEGIN (implicit; nothing is sent: with AUTOCOMMIT each statement commits itself)',
    );
    return this.#between(work, signal);
  }

  /** Runs `work` outside of transactions, between two of them. */
  #between<T>(work: Dispatched<T>, signal?: AbortSignal): Promise<T> {
    const send = (): Promise<T> => work([], undefined);
    return this.#transactions.between(
      () => this.#session.ready(signal)?.then(send) ?? send(),
      () => this.#rest(),
    );
  }

  async #executeScript(text: string): Promise<readonly CommandResult[]> {
    const invocation = this.#invocationOf({ text });
    return await this.#dispatch((control, deadline) =>
      this.#session.executeMany(control, [{ text, simple: true }], invocation.commandOptions(deadline)),
    );
  }

  #invocationOf(query: QueryConfig): Invocation {
    return new Invocation(query, undefined, this.statementDefaults(), this.statementCache);
  }

  /** @internal */
  openStream(invocation: Invocation): StreamSource {
    return new TransactionStream({
      current: () => this.#transactions.current(),
      begin: () => this.beginRoot(),
      isAutocommit: () => isAutocommit(this.#options.current),
      wait: (work) => invocation.waitForPortal(work),
      openPortal: (control, deadline) => invocation.openPortal(this.#session, control, deadline),
    });
  }

  /** Between two transactions. */
  #rest(): Promise<void> | undefined {
    return this.#mode === 'transaction' ? this.#session.giveBack() : undefined;
  }

  protected expectOpenable(): void {
    if (this.closed) throw connectionClosed();
    if (this.state === 'unstarted' && this.#mode === 'explicit') this.#expectPooled();
  }

  #expectPooled(): PooledConnection {
    const { pooled } = this.#session;
    if (pooled !== undefined) return pooled;
    throw new NotStartedError('this AsyncConnection has no connection of the pool. Await start() first.');
  }
}
