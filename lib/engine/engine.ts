import { runAutocommitted } from './autocommit.js';
import { AsyncConnection } from './connection.js';
import type { ConnectionSource, AsyncTransaction } from './connection.js';
import type { CommandResult, Control } from './driver/driver.js';
import { NoActiveScopeError } from './errors.js';
import type { ExecutionOptions, StatementOptions } from './execution-options.js';
import { Executor } from './executor.js';
import { AmbientContext } from './frame.js';
import { MANY_PAGE_SIZE } from './invocation.js';
import type { Invocation } from './invocation.js';
import type { EngineLogger } from './log.js';
import { OpenTransaction } from './open-transaction.js';
import type { TransactionalOptions } from './open-transaction.js';
import type { Pool, PooledConnection } from './pool/index.js';
import type { StreamSource } from './result/index.js';
import { withRetry } from './retry.js';
import { Scope } from './scope.js';
import type { ScopeOptions } from './scope.js';
import { StandaloneStream } from './standalone-stream.js';
import type { CompiledCache } from './statement/index.js';
import type { TransactionHook } from './transaction/hooks.js';
import { normalizeIsolationLevel, settingsControl } from './transaction/isolation.js';
import type { TransactionOptions } from './transaction/isolation.js';
import type { DatabaseUrl } from './url.js';

/** What an engine and the engines made of it by `executionOptions()` share. */
export interface EngineParts {
  readonly url: DatabaseUrl;
  readonly driver: string;
  pool: Pool;
  readonly compiledCache: CompiledCache;
  readonly logger: EngineLogger;
  readonly nestedWaitTimeout: number;
  readonly ambient: AmbientContext;
  /** Open scopes, for a shutdown that waits for them. */
  readonly scopes: Set<Scope>;
}

const NO_CONTROL: readonly Control[] = [];

/** Where connections come from, and the ambient way to use them. Made by `createAsyncEngine()`; opens nothing by itself. */
export class AsyncEngine extends Executor implements ConnectionSource, AsyncDisposable {
  readonly #parts: EngineParts;
  #options: ExecutionOptions;

  constructor(parts: EngineParts, options: ExecutionOptions) {
    super();
    this.#parts = parts;
    this.#options = options;
  }

  get url(): DatabaseUrl {
    return this.#parts.url;
  }

  get pool(): Pool {
    return this.#parts.pool;
  }

  /** `postgresql`. */
  get name(): string {
    return this.#parts.url.getBackendName();
  }

  /** `pg`. */
  get driver(): string {
    return this.#parts.driver;
  }

  get engine(): this {
    return this;
  }

  get logger(): EngineLogger {
    return this.#parts.logger;
  }

  get compiledCache(): CompiledCache {
    return this.#parts.compiledCache;
  }

  get nestedWaitTimeout(): number {
    return this.#parts.nestedWaitTimeout;
  }

  /**
   * Takes a connection of your own from the pool, never the ambient one. With `work` it is given back when that ends,
   * and what was not committed is rolled back.
   *
   * @throws PoolTimeoutError, or why the server could not be reached.
   */
  connect(): Promise<AsyncConnection>;
  connect<T>(work: (connection: AsyncConnection) => Promise<T>): Promise<T>;
  async connect<T>(work?: (connection: AsyncConnection) => Promise<T>): Promise<T | AsyncConnection> {
    const connection = await new AsyncConnection(this).start();
    if (work === undefined) return connection;
    try {
      return await work(connection);
    } finally {
      await connection.close();
    }
  }

  /** A connection of your own in a transaction: committed when `work` returns, rolled back when it throws. */
  begin<T>(work: (connection: AsyncConnection) => Promise<T>, options?: TransactionOptions): Promise<T> {
    return this.connect((connection) => connection.begin(() => work(connection), options));
  }

  /** A pooled connection as the driver sees it; `close()` gives it back. */
  rawConnection(): Promise<PooledConnection> {
    return this.pool.connect({ holding: this.holding() });
  }

  /** An engine with these options added; it shares the pool, the caches and the ambient context. */
  executionOptions(options: ExecutionOptions): AsyncEngine {
    return new AsyncEngine(this.#parts, { ...this.#options, ...options });
  }

  getExecutionOptions(): Readonly<ExecutionOptions> {
    return this.#options;
  }

  /** Changes the options for connections made from now on. */
  updateExecutionOptions(options: ExecutionOptions): void {
    this.#options = { ...this.#options, ...options };
  }

  clearCompiledCache(): void {
    this.#parts.compiledCache.clear();
  }

  /** Closes idle connections and starts over with an empty pool; those on loan are closed when they come back. */
  async dispose({ close = true }: { readonly close?: boolean } = {}): Promise<void> {
    const { pool } = this.#parts;
    this.#parts.pool = pool.recreate();
    if (close) await pool.dispose();
  }

  /** Closes the pool for good: later statements are refused with `ResourceClosedError`. */
  async aclose(): Promise<void> {
    await this.#parts.pool.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.aclose();
  }

  /**
   * Runs `work` in an ambient transaction: everything in it that uses this engine takes part. Committed when it returns,
   * rolled back when it throws; inside another one it is a savepoint, unless `propagation` says otherwise.
   *
   * @throws UnexpectedRollbackError when a statement failed and the error was swallowed: nothing is stored then.
   */
  async transaction<T>(work: () => Promise<T> | T, options: TransactionalOptions = {}): Promise<T> {
    const isRoot = options.retry !== undefined && this.openTransaction(options).isRoot;
    const attempt = async (): Promise<T> => {
      const open = this.openTransaction(options);
      let result: T;
      try {
        result = await open.run(work);
      } catch (error) {
        await open.fail(error);
        throw error;
      }
      await open.commit();
      return result;
    };
    return await withRetry(attempt, isRoot ? options.retry : undefined);
  }

  /** The ambient transaction in pieces, for code that is no promise: Observables and generators. */
  openTransaction(options: TransactionalOptions = {}): OpenTransaction {
    return new OpenTransaction(this, this.#parts.ambient, options);
  }

  /** One unit of work for a job, a command or a consumer; see {@link Scope}. */
  async scope<T>(work: () => Promise<T>, options?: ScopeOptions): Promise<T> {
    const scope = this.openScope(options);
    const lease = scope.lease();
    try {
      const result = await scope.run(work);
      await scope.complete();
      return result;
    } catch (error) {
      await scope.fail().catch((failure: unknown) => this.#report(failure));
      throw error;
    } finally {
      await lease.release();
    }
  }

  /** A scope in pieces, for code that sees a request begin and end in different places. */
  openScope(options: ScopeOptions = {}): Scope {
    const { scopes, ambient } = this.#parts;
    const scope = new Scope(this, ambient, options, () => scopes.delete(scope));
    scopes.add(scope);
    return scope;
  }

  /** The scope of the caller, where there is one. */
  currentScope(): Scope | undefined {
    return this.#parts.ambient.current?.scope;
  }

  /**
   * The connection of the active transaction, or of the scope: asking for that one makes the scope one transaction.
   *
   * @throws NoActiveScopeError outside of both.
   */
  currentConnection(): AsyncConnection {
    const connection = this.tryCurrentConnection();
    if (connection !== undefined) return connection;
    throw new NoActiveScopeError(
      'there is no active transaction or scope here. Use engine.transaction(), engine.scope(), or engine.connect().',
    );
  }

  tryCurrentConnection(): AsyncConnection | undefined {
    const frame = this.#parts.ambient.current;
    return frame?.active?.connection ?? frame?.scope?.connection;
  }

  /** Runs before the COMMIT of the active transaction and may veto it by throwing; without one it does nothing. */
  beforeCommit(hook: TransactionHook): void {
    this.#active()?.beforeCommit(hook);
  }

  /** Runs once the active transaction is committed; without one it runs at once. */
  afterCommit(hook: TransactionHook): void {
    const active = this.#active();
    if (active !== undefined) return active.afterCommit(hook);
    void Promise.resolve()
      .then(hook)
      .catch((error: unknown) => this.#report(error));
  }

  /** Runs when the active transaction was rolled back; without one it does nothing. */
  afterRollback(hook: TransactionHook): void {
    this.#active()?.afterRollback(hook);
  }

  /** Runs after either end of the active transaction; without one it does nothing. */
  afterCompletion(hook: TransactionHook): void {
    this.#active()?.afterCompletion(hook);
  }

  protected get statementCache(): CompiledCache {
    return this.#parts.compiledCache;
  }

  protected statementDefaults(): StatementOptions {
    return this.#options;
  }

  async send(invocation: Invocation): Promise<CommandResult> {
    const active = this.#active();
    if (active !== undefined) return await active.connection.send(invocation);
    if (this.#needsTransaction(invocation))
      return await this.begin((connection) => connection.send(invocation));
    const { settings } = this.#options;
    const control = settings === undefined ? NO_CONTROL : settingsControl({ settings });
    return await runAutocommitted(this.pool, invocation, control, () => this.holding());
  }

  openStream(invocation: Invocation): StreamSource {
    const frame = this.#parts.ambient.current;
    const active = frame?.active;
    if (active !== undefined) return active.connection.openStream(invocation);
    return new StandaloneStream(this, invocation, () => frame?.scope?.lease());
  }

  transactionOn(connection: AsyncConnection): AsyncTransaction | undefined {
    return this.#parts.ambient.transactionOn(connection);
  }

  holding(): readonly PooledConnection[] {
    return this.#parts.ambient.holding();
  }

  outside<T>(work: () => T): T {
    return this.#parts.ambient.outside(work);
  }

  #active(): AsyncTransaction | undefined {
    return this.#parts.ambient.current?.active;
  }

  // BEGIN says what a statement alone can't; and all pages of an executemany are stored or none.
  #needsTransaction(invocation: Invocation): boolean {
    const { isolationLevel, readOnly, deferrable } = this.#options;
    if (invocation.commands.length > MANY_PAGE_SIZE || readOnly !== undefined || deferrable !== undefined)
      return true;
    return isolationLevel !== undefined && normalizeIsolationLevel(isolationLevel) !== 'AUTOCOMMIT';
  }

  #report(error: unknown): void {
    this.logger.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
}
