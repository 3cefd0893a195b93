import { runAutocommitted } from './execution/autocommit.js';
import { AsyncConnection } from './connection/connection.js';
import type { CommandResult, Control } from './driver/driver.js';
import type { Dialect } from './connection/dialect.js';
import { parseExecutionOptions } from './execution/execution-options.js';
import type { ExecutionOptions, StatementOptions } from './execution/execution-options.js';
import type { AmbientContext } from './ambient/async-context.js';
import type { Invocation } from './execution/invocation.js';
import { ListeningEngine } from './listening-engine.js';
import type { ListeningParts } from './listening-engine.js';
import type { Echo, EngineLogger } from './util/logger.js';
import type { Multiplexer } from './execution/multiplexer.js';
import type { OpenScopes } from './ambient/open-scopes.js';
import type { TransactionalOptions } from './ambient/open-transaction.js';
import { mergeOptions } from './util/merge-options.js';
import { SessionViews } from './pool/session-views.js';
import type { Pool } from './pool/pool.js';
import type { PooledConnection } from './pool/pooled-connection.js';
import type { SessionView } from './pool/session-views.js';
import type { StreamSource } from './result/stream-source.js';
import { StandaloneStream } from './ambient/standalone-stream.js';
import type { CompiledCache } from './statement/compiled-cache.js';
import { settingsControl, TRANSACTION_OPTIONS } from './transaction/isolation.js';
import type { TransactionOptions } from './transaction/isolation.js';
import { expectFunction } from './util/argument.js';
import { flagRule, timeRule } from './util/option-rule.js';
import { OptionTable } from './util/option-table.js';
import type { DatabaseUrl } from './driver/url/url.js';

/** What an engine and the engines made of it by `executionOptions()` share. */
export interface EngineParts extends ListeningParts {
  readonly url: DatabaseUrl;
  readonly driver: string;
  /** Ends what the driver holds beside its sessions. */
  readonly closeDriver: () => Promise<void> | undefined;
  pool: Pool;
  readonly compiledCache: CompiledCache;
  readonly dialect: Dialect;
  readonly nestedWaitTimeout: number;
  readonly commitTimeout: number;
  /** Undefined: each statement has a connection to itself. */
  readonly multiplexer: Multiplexer | undefined;
  readonly ambient: AmbientContext;
  readonly scopes: OpenScopes;
  readonly transactional: TransactionalOptions | undefined;
}

/** How long a ping may take, in ms. */
export interface PingOptions {
  readonly timeout?: number | undefined;
}

const PING_OPTIONS = new OptionTable<PingOptions>('ping', { timeout: timeRule }, 'refused');
const DISPOSE_OPTIONS = new OptionTable<{ readonly close?: boolean }>(
  'dispose',
  { close: flagRule },
  'refused',
);

const NO_CONTROL: readonly Control[] = [];

/**
 * Where connections come from, and the ambient way to use them. Made by `createAsyncEngine()`; opens nothing
 * by itself.
 */
export class AsyncEngine extends ListeningEngine<AsyncEngine> implements AsyncDisposable {
  readonly #parts: EngineParts;
  #options: ExecutionOptions;

  /** With `parent`, its listeners hear of this engine too. @internal */
  constructor(parts: EngineParts, options: ExecutionOptions, echo: Echo = false, parent?: AsyncEngine) {
    super(parts, echo, parent);
    this.#parts = parts;
    this.#options = options;
  }

  /** The database and the driver, by name. */
  get dialect(): Dialect {
    return this.#parts.dialect;
  }

  /** Where the database is. Its password shows in no text of it. */
  get url(): DatabaseUrl {
    return this.#parts.url;
  }

  /** The pool that connections come from; another one after `dispose()`. */
  get pool(): Pool {
    return this.#parts.pool;
  }

  /** `postgresql`. */
  get name(): string {
    return this.#parts.url.getBackendName();
  }

  /** `pg` or `pglite`. */
  get driver(): string {
    return this.#parts.driver;
  }

  /** This engine itself: what code that was carried over from SQLAlchemy may ask for. */
  get engine(): this {
    return this;
  }

  /** Where warnings and the lines of `echo` go: the option `logger`, by default the console. */
  get logger(): EngineLogger {
    return this.#parts.logger;
  }

  /** The compiled statements that are kept, shared with the engines made by `executionOptions()`. */
  get compiledCache(): CompiledCache {
    return this.#parts.compiledCache;
  }

  /** @internal */
  get nestedWaitTimeout(): number {
    return this.#parts.nestedWaitTimeout;
  }

  /** @internal */
  get commitTimeout(): number {
    return this.#parts.commitTimeout;
  }

  /**
   * Takes a connection of your own from the pool, never the ambient one. With `work` it is given back when
   * that ends, and what was not committed is rolled back.
   *
   * @throws PoolTimeoutError, or why the server could not be reached.
   */
  connect(): Promise<AsyncConnection>;
  connect<T>(work: (connection: AsyncConnection) => Promise<T>): Promise<T>;
  async connect<T>(work?: (connection: AsyncConnection) => Promise<T>): Promise<T | AsyncConnection> {
    if (work !== undefined) expectFunction('engine.connect(work)', work);
    const connection = await new AsyncConnection(this).start();
    if (work === undefined) return connection;
    try {
      return await work(connection);
    } finally {
      await connection.close();
    }
  }

  /** A connection of your own in a transaction: committed when `work` returns, rolled back when it throws. */
  async begin<T>(
    work: (connection: AsyncConnection) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    expectFunction('engine.begin()', work);
    TRANSACTION_OPTIONS.parse(options);
    return await this.connect((connection) => connection.begin(() => work(connection), options));
  }

  /** A pooled connection as the driver sees it; `close()` gives it back. */
  rawConnection(): Promise<PooledConnection> {
    return this.pool.connect({ holding: this.holding() });
  }

  /**
   * Has the server answer on a connection of the pool, within `timeout` ms (default 1,000) in all: for a
   * health check.
   *
   * @throws PoolTimeoutError when no connection could be had in time, ConnectionLostError when no answer
   * came, or why the server could not be reached.
   */
  async ping(options: PingOptions = {}): Promise<void> {
    const { timeout = 1_000 } = PING_OPTIONS.parse(options);
    const deadline = performance.now() + timeout;
    const pooled = await this.pool.connect({ timeout, holding: this.holding() });
    // No CancelRequest: who does not answer a ping in time is given up.
    const timer = setTimeout(() => pooled.invalidate(), Math.max(1, deadline - performance.now()));
    try {
      await pooled.session.execute([], { text: '', prepare: false });
    } finally {
      clearTimeout(timer);
      await pooled.close();
    }
  }

  /** An engine with these options added; it shares the pool, the caches and the ambient context. */
  executionOptions(options: ExecutionOptions): AsyncEngine {
    const merged = mergeOptions(this.#options, parseExecutionOptions(options));
    return new AsyncEngine(this.#parts, merged, this.echo, this);
  }

  /** The options that every connection and statement of this engine begins with. */
  getExecutionOptions(): Readonly<ExecutionOptions> {
    return this.#options;
  }

  /** Changes the options for connections made from now on. */
  updateExecutionOptions(options: ExecutionOptions): void {
    this.#options = mergeOptions(this.#options, parseExecutionOptions(options));
  }

  /** Forgets the compiled statements; named statements on the server stay. */
  clearCompiledCache(): void {
    this.#parts.compiledCache.clear();
  }

  /**
   * Closes idle connections and starts over with an empty pool; those on loan are closed when they come back.
   * A PGlite database stays open with what it has in memory.
   */
  async dispose(options: { readonly close?: boolean } = {}): Promise<void> {
    const { close = true } = DISPOSE_OPTIONS.parse(options);
    const { pool } = this.#parts;
    this.#install(pool.recreate());
    if (close) await pool.dispose();
    this.tell('engineDisposed', { engine: this });
  }

  /**
   * For tests: from now on this engine, and every one that shares its pool, works over `pool`, until the
   * function that you get is called. What is on loan from the former pool stays there.
   */
  replacePool(pool: Pool): () => void {
    const former = this.#parts.pool;
    this.#install(pool);
    return () => this.#install(former);
  }

  /**
   * For tests: lends sessions through `view`, of this pool and of those that replace it, until the given
   * function is called.
   */
  viewSessions(view: SessionView): () => void {
    const { pool } = this.#parts;
    pool.views ??= new SessionViews();
    return pool.views.add(view);
  }

  #install(pool: Pool): void {
    const former = this.#parts.pool;
    pool.views = former.views;
    if (former !== pool) former.views = undefined;
    this.#parts.pool = pool;
  }

  /**
   * Waits for open scopes and for connections on loan, at most `timeout` ms in all; then cancels what runs
   * and ends its sessions, with a warning that names the scopes. For a shutdown: `aclose()` follows.
   */
  async drain(timeout: number): Promise<void> {
    const deadline = performance.now() + timeout;
    const late = await this.#parts.scopes.empty(timeout);
    const ended = await this.pool.drain(Math.max(0, deadline - performance.now()));
    if (ended === 0 && late.length === 0) return;
    const names = late.length === 0 ? '' : ` Still open: ${late.join(', ')}.`;
    this.logger.warn(
      `ended ${ended} session(s) that were in use ${timeout} ms after the shutdown began.${names}`,
    );
  }

  /**
   * Closes the pool for good, and a PGlite database: later statements are refused with `ResourceClosedError`.
   */
  async aclose(): Promise<void> {
    await this.pool.dispose();
    await this.#parts.closeDriver();
    this.ambient.disable();
  }

  /** For `await using`: `aclose()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.aclose();
  }

  protected get statementCache(): CompiledCache {
    return this.#parts.compiledCache;
  }

  protected get ambient(): AmbientContext {
    return this.#parts.ambient;
  }

  protected get scopes(): OpenScopes {
    return this.#parts.scopes;
  }

  protected get transactionDefaults(): TransactionalOptions | undefined {
    return this.#parts.transactional;
  }

  protected retried(error: unknown, attempt: number): void {
    this.tell('retry', { engine: this, error, attempt });
  }

  protected statementDefaults(): StatementOptions {
    return this.#options;
  }

  /** @internal */
  send(invocation: Invocation): Promise<CommandResult> {
    const active = this.activeTransaction();
    if (active !== undefined) return active.connection.send(invocation);
    if (this.#needsTransaction(invocation)) return this.#sendInTransaction(invocation);
    const { settings } = this.#options;
    const control = settings === undefined ? NO_CONTROL : settingsControl({ settings });
    const { multiplexer } = this.#parts;
    return multiplexer?.run(this, invocation, control) ?? runAutocommitted(this, invocation, control);
  }

  async #sendInTransaction(invocation: Invocation): Promise<CommandResult> {
    const connection = await invocation.wait((signal) => new AsyncConnection(this).start(signal));
    try {
      return await connection.begin(() => connection.send(invocation));
    } finally {
      await connection.close();
    }
  }

  /** @internal */
  openStream(invocation: Invocation): StreamSource {
    const active = this.activeTransaction();
    if (active !== undefined) return active.connection.openStream(invocation);
    return new StandaloneStream(this, invocation, this.currentScope());
  }

  // BEGIN says what a statement alone can't; and all pages of an executemany are stored or none.
  #needsTransaction(invocation: Invocation): boolean {
    const { isolationLevel, readOnly, deferrable } = this.#options;
    if (readOnly !== undefined || deferrable !== undefined) return true;
    if (invocation.isMany && invocation.commands.length > invocation.pageSize) return true;
    return isolationLevel !== undefined && isolationLevel !== 'AUTOCOMMIT';
  }
}
