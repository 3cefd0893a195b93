import type { InspectOptions } from 'node:util';
import { describeValue } from './util/describe-value.js';
import { Ambient } from './ambient/ambient.js';
import { runExclusive, type ExclusiveOutcome } from './ambient/exclusive.js';
import type { ExclusiveOptions } from './ambient/exclusive-options.js';
import type { OpenTransaction, TransactionalOptions } from './ambient/open-transaction.js';
import type { Scope } from './ambient/scope.js';
import type { ScopeOptions } from './ambient/scope-options.js';
import { makeConnection, type AsyncConnection, type AsyncTransaction } from './connection/connection.js';
import type { ConnectionHost, Dialect } from './connection/connection-host.js';
import type { DatabaseUrl } from './driver/url/url.js';
import { DISPOSE_OPTIONS, PING_OPTIONS, type PingOptions } from './engine-options.js';
import type { EngineEvents } from './engine-events.js';
import { EngineListeners } from './engine-listeners.js';
import { EnginePools } from './pool/replicas/engine-pools.js';
import { detachedFrom, EngineRunner, type EngineShared } from './engine-runner.js';
import { ArgumentError } from './errors/errors.js';
import { parseExecutionOptions, type ExecutionOptions } from './execution/execution-options.js';
import { Executor } from './execution/executor.js';
import type { NotificationHub } from './execution/notification-hub.js';
import { askOnce } from './pool/replicas/ask-once.js';
import type { Pool } from './pool/pool.js';
import type { PooledConnection } from './pool/pooled-connection.js';
import { onPresentPool } from './pool/present-pool.js';
import type { Replicas } from './pool/replicas/replica.js';
import { viewSessions, type SessionView } from './driver/session-views.js';
import type { CompiledCache } from './statement/compiled-cache.js';
import type { TransactionHook } from './transaction/hooks.js';
import type { TransactionOptions } from './transaction/isolation.js';
import { expectArgument, expectFunction } from './util/argument.js';
import { timeRule } from './util/option-rule.js';
import { ENGINE_OPTIONS } from './resolve-engine-options.js';
import type { ListenerOptions } from './util/event-hub.js';
import type { Echo, EngineLogger } from './util/logger.js';
import { mergeOptions } from './util/merge-options.js';
import { inspect } from './errors/node-modules.js';

type Events = EngineEvents<AsyncEngine>;

// A connection and a pool show their engine, which stands on a higher step.
declare module './connection/connection.js' {
  interface ConnectionEngine extends AsyncEngine {}
}
declare module './pool/pool-trace.js' {
  interface PoolEngine extends AsyncEngine {}
}

/**
 * Where connections come from, and the ambient way to use them. Made by `createAsyncEngine()`; opens nothing
 * by itself.
 */
export class AsyncEngine extends Executor implements AsyncDisposable {
  readonly #shared: EngineShared;
  readonly #pools: EnginePools;
  /** @internal */
  readonly ambient: Ambient;
  readonly #listeners: EngineListeners<AsyncEngine>;
  readonly #runner: EngineRunner;

  /** With `parent`, its listeners hear of this engine too. @internal */
  constructor(shared: EngineShared, options: ExecutionOptions, echo: Echo = false, parent?: AsyncEngine) {
    const listeners = new EngineListeners<AsyncEngine>(
      shared,
      echo,
      parent === undefined ? undefined : parent.#listeners,
    );
    const runner = new EngineRunner(shared, listeners.observers, options);
    super(() => runner);
    this.#shared = shared;
    this.#pools = new EnginePools(shared);
    this.#listeners = listeners;
    listeners.engine = this;
    this.#runner = runner;
    this.ambient = new Ambient({
      host: runner,
      context: shared.ambient,
      scopes: shared.scopes,
      defaults: shared.transactional,
      retried: (error, attempt) => listeners.emit('retry', { engine: this, error, attempt }),
    });
    if (parent !== undefined) return;
    shared.pool.observer.attach(this, (error) => runner.engineObserver()?.prePingFailed(error));
    shared.replicas?.listen(listeners.ofReplicas(this));
  }

  /** The database and the driver, by name. */
  get dialect(): Dialect {
    return this.#shared.dialect;
  }

  /** Where the database is. Its password shows in no text of it. */
  get url(): DatabaseUrl {
    return this.#shared.url;
  }

  /** The pool that connections come from; another one after `dispose()`. */
  get pool(): Pool {
    return this.#shared.pool;
  }

  /** The replicas of the option `replicas`, and how each is now: an empty list without any. */
  get replicas(): Replicas {
    return { status: () => this.#shared.replicas?.status() ?? [] };
  }

  /**
   * A token of what the caller's scope has written (outside of scopes: this engine), for a cookie, a job or
   * another service. Empty where that is nothing, and without `replicas`.
   *
   * @example
   * ```ts
   * const token = engine.consistencyToken();
   * await engine.scope(() => orders.place(order), { after: token });
   * ```
   */
  consistencyToken(): string {
    return this.#runner.router?.token ?? '';
  }

  /** `postgresql`. */
  get name(): string {
    return this.#shared.url.getBackendName();
  }

  /** `pg` or `pglite`. */
  get driver(): string {
    return this.#shared.driver;
  }

  /** This engine itself, as of a connection. */
  get engine(): this {
    return this;
  }

  /** Where warnings and the lines of `echo` go: the option `logger`, by default the console. */
  get logger(): EngineLogger {
    return this.#shared.logger;
  }

  /** The compiled statements that are kept, shared with the engines made by `executionOptions()`. */
  get compiledCache(): CompiledCache {
    return this.#shared.compiledCache;
  }

  /** @internal */
  get host(): ConnectionHost<AsyncConnection> {
    return this.#runner;
  }

  /**
   * Takes a connection of your own from the pool, never the ambient one. With `work` it is given back when
   * that ends, and what was not committed is rolled back.
   *
   * @throws PoolTimeoutError, or why the server could not be reached.
   *
   * @example
   * ```ts
   * await engine.connect(async (connection) => {
   *   await connection.execute(sql`INSERT INTO items (name) VALUES (${name})`);
   *   await connection.commit();
   * });
   * ```
   */
  connect(): Promise<AsyncConnection>;
  connect<T>(work: (connection: AsyncConnection) => Promise<T>): Promise<T>;
  connect<T>(work?: (connection: AsyncConnection) => Promise<T>): Promise<T | AsyncConnection> {
    return work === undefined ? makeConnection(this.#runner).start() : this.#connectFor(work);
  }

  async #connectFor<T>(work: (connection: AsyncConnection) => Promise<T>): Promise<T> {
    expectFunction('engine.connect(work)', work);
    const connection = await makeConnection(this.#runner).start();
    try {
      const result = await this.#runner.runHolding(connection, () => work(connection));
      connection.core.warnOfUncommitted();
      return result;
    } finally {
      await connection.close();
    }
  }

  /**
   * A connection of your own in a transaction: committed when `work` returns, rolled back when it throws. Its
   * `timeout` also counts while it waits for the connection.
   *
   * @example
   * ```ts
   * await engine.begin(async (connection) => {
   *   await connection.execute(sql`INSERT INTO items (name) VALUES (${name})`);
   * });
   * ```
   */
  async begin<T>(
    work: (connection: AsyncConnection) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    expectFunction('engine.begin()', work);
    const connection = makeConnection(this.#runner, { mode: 'scoped' });
    // Begun first, so that its timeout counts while it waits for a connection of the pool.
    const run = ({ deadline }: AsyncTransaction): Promise<T> => {
      const opening = connection.core.start(deadline);
      return opening === undefined ? work(connection) : opening.then(() => work(connection));
    };
    try {
      return await connection.begin(run, options);
    } finally {
      await connection.close();
    }
  }

  /** A pooled connection as the driver sees it; `close()` gives it back. */
  rawConnection(): Promise<PooledConnection> {
    return onPresentPool(this, (pool) => pool.connect({ holding: this.#runner.holding() }));
  }

  /**
   * Has the server answer on a connection of the pool, within `timeout` ms (default 1,000) in all: for a
   * health check.
   *
   * @throws PoolTimeoutError when no connection could be had in time, ConnectionLostError when no answer
   * came, or why the server could not be reached.
   *
   * @example
   * ```ts
   * await engine.ping({ timeout: 500 });
   * ```
   */
  async ping(options: PingOptions = {}): Promise<void> {
    const end = performance.now() + (PING_OPTIONS.parse(options).timeout ?? 1_000);
    const holding = this.#runner.holding();
    const ask = (pool: Pool) => askOnce(pool, '', { timeout: end - performance.now(), holding });
    await onPresentPool(this, ask);
  }

  /**
   * The channels of NOTIFY that this engine listens to, all on one connection of its own beside the pool;
   * what
   * `fromChannel()` is made of.
   */
  get notifications(): NotificationHub {
    return this.#shared.notifications;
  }

  /**
   * An engine with these options added; it shares the pool, the caches and the ambient context.
   *
   * @example
   * ```ts
   * const reports = engine.executionOptions({ isolationLevel: 'REPEATABLE READ', timeout: 60_000 });
   * await reports.execute(sql`SELECT count(*) FROM orders`).scalarOne();
   * ```
   */
  executionOptions(options: ExecutionOptions): AsyncEngine {
    const merged = mergeOptions(this.#runner.executionOptions, parseExecutionOptions(options));
    return new AsyncEngine(this.#shared, merged, this.echo, this);
  }

  /** The same engine with an async context of its own, which has no transaction and no scope. @internal */
  detached(): AsyncEngine {
    return new AsyncEngine(detachedFrom(this.#shared), this.#runner.executionOptions, this.echo, this);
  }

  /** The options that every connection and statement of this engine begins with. */
  getExecutionOptions(): Readonly<ExecutionOptions> {
    return this.#runner.executionOptions;
  }

  /** Changes the options for connections made from now on. */
  updateExecutionOptions(options: ExecutionOptions): void {
    this.#runner.executionOptions = mergeOptions(
      this.#runner.executionOptions,
      parseExecutionOptions(options),
    );
  }

  /** Forgets the compiled statements; named statements on the server stay. */
  clearCompiledCache(): void {
    this.#shared.compiledCache.clear();
  }

  /**
   * Closes idle connections and starts over with an empty pool; those on loan are closed when they come back.
   * Callers that wait, and what has taken no connection yet, go on with the new pool. After `aclose()` it
   * does nothing. A PGlite database stays open with what it has in memory.
   */
  async dispose(options: { readonly close?: boolean } = {}): Promise<void> {
    const { close = true } = DISPOSE_OPTIONS.parse(options);
    const { pool, state } = this.#shared;
    if (state === 'closed') return await pool.dispose();
    this.#pools.install(pool.recreate());
    if (close) await Promise.all([pool.dispose(), this.#shared.replicas?.dispose(false)]);
    this.#listeners.emit('engineDisposed', { engine: this });
  }

  /**
   * For tests: from now on this engine, and every one that shares its pool, works over `pool`, until the
   * function that you get is called. What is on loan from the former pool stays there.
   */
  replacePool(pool: Pool): () => void {
    expectArgument('engine.replacePool()', ENGINE_OPTIONS.rules.pool, pool);
    return this.#pools.replace(pool);
  }

  /**
   * For tests: lends sessions through `view`, of this pool and of those that replace it, until the given
   * function is called.
   */
  viewSessions(view: SessionView): () => void {
    return viewSessions(this.#pools.all, view);
  }

  /**
   * Waits for open scopes and for connections on loan, at most `timeout` ms in all; then cancels what runs
   * and ends its sessions, with a warning that names the scopes. For a shutdown: `aclose()` follows.
   */
  async drain(timeout: number): Promise<void> {
    expectArgument('engine.drain()', timeRule, timeout);
    const deadline = performance.now() + timeout;
    const late = await this.#shared.scopes.empty(timeout);
    const ended = await this.#pools.drain(Math.max(0, deadline - performance.now()));
    if (ended === 0 && late.length === 0) return;
    const names = late.length === 0 ? '' : ` Still open: ${late.join(', ')}.`;
    this.#runner.warn(
      `the time of the shutdown is over: ended ${ended} session(s) that were in use.${names}`,
    );
  }

  /**
   * Closes the pool for good, and a PGlite database: later statements are refused with `ResourceClosedError`.
   */
  async aclose(): Promise<void> {
    this.#shared.state = 'closed';
    await this.#shared.notifications.close();
    await Promise.all([this.pool.dispose(), this.#shared.replicas?.dispose(true)]);
    await this.#shared.closeDriver();
    this.#shared.ambient.disable();
  }

  /** For `await using`: `aclose()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.aclose();
  }

  /** What `JSON.stringify()` and the console show: nothing of its inside, and no password. */
  toJSON(): { readonly url: string; readonly pool: string } {
    return { url: String(this.url), pool: this.pool.status() };
  }

  /** @internal */
  [inspect.custom](_depth: number, options: InspectOptions): string {
    return `AsyncEngine ${inspect(this.toJSON(), options)}`;
  }

  /** Whether statements are written to the log; with `'debug'`, their rows too. May be set at any time. */
  get echo(): Echo {
    return this.#listeners.log.echo;
  }

  /** @throws ArgumentError for another value. */
  set echo(echo: Echo) {
    if (typeof echo !== 'boolean' && echo !== 'debug') {
      throw new ArgumentError(`echo must be true, false or 'debug'; got ${describeValue(echo)}.`);
    }
    this.#listeners.log.echo = echo;
  }

  /**
   * Adds a listener for what happens to this engine, its pool and its connections, those that are open among
   * them; see {@link EngineEvents}. The engines made of it by `executionOptions()` have its listeners too.
   *
   * @throws ArgumentError for an async listener where nothing would wait, InvalidRequestError for an unknown
   * event.
   *
   * @example
   * ```ts
   * engine.on('afterCursorExecute', ({ sql, duration }) => console.log(sql, duration));
   * ```
   */
  on<Name extends keyof Events>(event: Name, listener: Events[Name], options?: ListenerOptions): this {
    this.#listeners.hubOf(event).on(event, listener, options);
    return this;
  }

  /** Adds a listener that is called once. */
  once<Name extends keyof Events>(event: Name, listener: Events[Name], options?: ListenerOptions): this {
    this.#listeners.hubOf(event).on(event, listener, { ...options, once: true });
    return this;
  }

  /** Takes a listener of this engine away. */
  off<Name extends keyof Events>(event: Name, listener: Events[Name]): this {
    this.#listeners.hubOf(event).off(event, listener);
    return this;
  }

  /**
   * Runs `work` in an ambient transaction: everything in it that uses this engine takes part. Committed when
   * it returns, rolled back when it throws; inside another one it is a savepoint, unless `propagation` says
   * otherwise.
   *
   * @throws UnexpectedRollbackError when a statement failed and the error was swallowed: nothing is stored
   * then.
   *
   * @example
   * ```ts
   * await engine.transaction(async () => {
   *   await engine.execute(sql`UPDATE accounts SET balance = balance - 5 WHERE id = 1`);
   *   await engine.execute(sql`UPDATE accounts SET balance = balance + 5 WHERE id = 2`);
   * });
   * ```
   */
  transaction<T>(work: () => Promise<T> | T, options?: TransactionalOptions): Promise<T> {
    return this.ambient.transaction(work, options);
  }

  /**
   * Ends a transaction whose work was called already: it has given or thrown what `result` does. As its
   * `retry` says, it calls `work` in new ones. For code that must see what comes back before it knows how to
   * end it.
   */
  completeTransaction<T>(
    first: OpenTransaction,
    result: () => Promise<T> | T,
    work: () => Promise<T> | T,
  ): Promise<T> {
    return this.ambient.completeTransaction(first, result, work);
  }

  /**
   * The options of a transaction with what the engine's own options say where they are silent. What those say
   * of BEGIN is for roots: inside a transaction, it has said so already.
   *
   * @throws ArgumentError when `retry` is not a number of retries.
   */
  transactionalOptions(options: TransactionalOptions): TransactionalOptions {
    return this.ambient.transactionalOptions(options);
  }

  /** The ambient transaction in pieces, for code that is not a promise: Observables and generators. */
  openTransaction(options?: TransactionalOptions): OpenTransaction {
    return this.ambient.openTransaction(options);
  }

  /**
   * One unit of work for a job, a command or a consumer; see {@link Scope}.
   *
   * @example
   * ```ts
   * await engine.scope(() => importOrders(file), { label: 'nightly import' });
   * ```
   */
  scope<T>(work: () => Promise<T>, options?: ScopeOptions): Promise<T> {
    return this.ambient.scope(work, options);
  }

  /**
   * Runs `work` where no other instance of the application runs work of this `name` on this database, and
   * does not call it where one does. Inside work of the same name it runs. With `scope: 'transaction'` it is
   * in an ambient transaction, as of `transaction()`, and other instances run after its COMMIT.
   *
   * `work` gets a signal: it is aborted when the lock is lost with its session, when `timeout` has passed,
   * and when `signal` is.
   *
   * @throws ConnectionLostError when the session was lost that held the lock: another instance may have run;
   * TransactionTimeoutError when `timeout` has passed; ArgumentError for `'session'` with `pgbouncer`.
   *
   * @example
   * ```ts
   * const { ran } = await engine.exclusive('nightly import', () => importOrders(file));
   * ```
   */
  exclusive<T>(
    name: string,
    work: (signal: AbortSignal) => Promise<T> | T,
    options: ExclusiveOptions = {},
  ): Promise<ExclusiveOutcome<T>> {
    return runExclusive(this.ambient, this.#shared.pgbouncer, { name, work, options });
  }

  /** A scope in pieces, for code that sees a request begin and end in different places. */
  openScope(options?: ScopeOptions): Scope {
    return this.ambient.openScope(options);
  }

  /**
   * The engine of the transaction or scope around the caller. `executionOptions()` may have made it of this
   * one: options such as a tenant's settings must hold in all that is begun inside. @internal
   */
  get engineAround(): AsyncEngine {
    const around = this.#shared.ambient.current?.engine;
    return around instanceof AsyncEngine ? around : this;
  }

  /** Another database of the application: its transactions do not undo what this one stores. @internal */
  addNeighbor(name: string, neighbor: AsyncEngine): void {
    this.#shared.ambient.addNeighbor(name, neighbor.#shared.ambient);
  }

  /**
   * Runs `work` outside of the scope and the transaction around the call: for work that is started here and
   * may outlive them. Its statements commit themselves; it may open transactions and scopes of its own.
   *
   * @example
   * ```ts
   * engine.runDetached(() => void sendNewsletter());
   * ```
   */
  runDetached<T>(work: () => T): T {
    expectFunction('engine.runDetached()', work);
    return this.ambient.runDetached(work);
  }

  /**
   * The transaction in which statements of the caller run: undefined outside of transactions.
   *
   * @throws TransactionEndedError where the one of the caller has ended.
   */
  activeTransaction(): AsyncTransaction | undefined {
    return this.ambient.activeTransaction();
  }

  /** The scope of the caller, where there is one. */
  currentScope(): Scope | undefined {
    return this.ambient.currentScope();
  }

  /**
   * The connection of the active transaction, or of the scope: asking for that one makes the scope one
   * transaction.
   *
   * @throws NoActiveScopeError outside of both.
   */
  currentConnection(): AsyncConnection {
    return this.ambient.currentConnection();
  }

  /** The same as `currentConnection()`, and undefined where that throws. */
  tryCurrentConnection(): AsyncConnection | undefined {
    return this.ambient.tryCurrentConnection();
  }

  /**
   * A handle that is, at each use, the connection of the transaction around its user, or else of the scope:
   * for what is made before its scope is there or outlives it. It refuses with `NoActiveScopeError` outside
   * of both; `advice` ends that message.
   */
  scopedConnection(advice?: string): AsyncConnection {
    return this.ambient.scopedConnection(advice);
  }

  /**
   * Runs before the COMMIT of the active transaction and may veto it by throwing; without one it does
   * nothing.
   */
  beforeCommit(hook: TransactionHook): void {
    this.ambient.addHook('beforeCommit', hook);
  }

  /**
   * Runs once the active transaction is committed; without one it runs at once.
   *
   * @example
   * ```ts
   * await engine.transaction(async () => {
   *   await engine.execute(sql`UPDATE orders SET state = 'paid' WHERE id = ${id}`);
   *   engine.afterCommit(() => sendConfirmation(id));
   * });
   * ```
   */
  afterCommit(hook: TransactionHook): void {
    this.ambient.addHook('afterCommit', hook);
  }

  /** Runs when the active transaction was rolled back; without one it does nothing. */
  afterRollback(hook: TransactionHook): void {
    this.ambient.addHook('afterRollback', hook);
  }

  /** Runs after either end of the active transaction; without one it does nothing. */
  afterCompletion(hook: TransactionHook): void {
    this.ambient.addHook('afterCompletion', hook);
  }
}
