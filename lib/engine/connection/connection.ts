import type { InspectOptions } from 'node:util';
import { ClientStatements } from './client-statements.js';
import { ConnectionCore } from './connection-core.js';
import type { ConnectionHost, ConnectionSettings, Dialect } from './connection-host.js';
import type { ConnectionState } from './connection-session.js';
import { lendDriverClient, type DriverClient } from './driver-client.js';
import { askDefaultIsolationLevel, askIsolationLevel } from './isolation-question.js';
import type { ConnectionEvents } from '../execution/connection-events.js';
import type { ExecutionOptions } from '../execution/execution-options.js';
import { Executor } from '../execution/executor.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import { TRANSACTION_OPTIONS } from '../transaction/isolation.js';
import type { IsolationLevel, TransactionOptions } from '../transaction/isolation.js';
import type { NestedTransaction } from '../transaction/nested-transaction.js';
import type { RootTransaction } from '../transaction/root-transaction.js';
import type { Transaction } from '../transaction/transaction.js';
import type { ListenerOptions } from '../util/event-hub.js';
import { expectArgument, expectFunction } from '../util/argument.js';
import { asItIs, signalRule, type OptionRule } from '../util/option-rule.js';
import { promiseTry, settled } from '../util/promise-try.js';
import { inspect } from '../errors/node-modules.js';

/** A transaction of an {@link AsyncConnection}: the root or a savepoint. */
export type AsyncTransaction = Transaction<AsyncConnection>;

type Core = ConnectionCore<AsyncConnection>;
type Root = RootTransaction<AsyncConnection>;
type Nested = NestedTransaction<AsyncConnection>;
type Events = ConnectionEvents<AsyncConnection>;

/** An engine, as far as a connection is made of it. The hall of the engine adds all of an `AsyncEngine`. */
export interface ConnectionEngine {
  readonly dialect: Dialect;
  /** @internal */
  readonly host: ConnectionHost<AsyncConnection>;
}

const engineRule: OptionRule = {
  expected: 'an AsyncEngine',
  accepts: (value) => typeof (value as Partial<ConnectionEngine> | null | undefined)?.host === 'object',
  coerce: asItIs,
};

/**
 * One connection, for one caller at a time. The first statement begins a transaction; nothing is committed
 * implicitly. Get it from `engine.connect()`; statements are refused with `ResourceClosedError` once it is
 * closed.
 *
 * @example
 * ```ts
 * await using connection = await engine.connect();
 * await connection.execute(sql`INSERT INTO items (name) VALUES (${name})`);
 * await connection.commit();
 * ```
 */
export class AsyncConnection extends Executor implements AsyncDisposable {
  readonly #core: () => Core;

  /** Of an engine; `start()` comes next. */
  constructor(engine: ConnectionEngine);
  /** In front of the connection that `core` finds, at each use. @internal */
  constructor(engine: undefined, core: () => Core);
  constructor(engine: ConnectionEngine | undefined, core?: () => Core) {
    let own: Core;
    if (core === undefined) expectArgument('new AsyncConnection()', engineRule, engine);
    const find = core ?? (() => own);
    super(find);
    this.#core = find;
    if (engine !== undefined) own = new ConnectionCore<AsyncConnection>(engine.host, () => this);
  }

  /** @internal */
  get core(): Core {
    return this.#core();
  }

  /**
   * Takes a connection from the pool, unless `signal` ends the wait.
   *
   * @throws PoolTimeoutError, or why the server could not be reached.
   */
  start(signal?: AbortSignal): Promise<this> {
    return promiseTry(() => {
      if (signal !== undefined) expectArgument('connection.start()', signalRule, signal);
      const opening = this.#core().start(signal);
      return opening === undefined ? Promise.resolve(this) : opening.then(() => this);
    });
  }

  /** Whether it has a connection of the pool, and whether that one was lost. */
  get state(): ConnectionState {
    return this.#core().session.state;
  }

  /** The engine that it was made by. */
  get engine(): ConnectionEngine {
    return this.#core().host.engine;
  }

  /** The database and the driver, by name. */
  get dialect(): Dialect {
    return this.#core().host.dialect;
  }

  /** True after `close()`. */
  get closed(): boolean {
    return this.state === 'closed';
  }

  /** The physical connection was lost; the next statement takes another one. */
  get invalidated(): boolean {
    return this.state === 'invalidated';
  }

  /** Lives as long as the physical connection, through all its borrowers. */
  get info(): Map<unknown, unknown> {
    return this.#core().session.expectPooled().info;
  }

  /** What this connection holds of the pool; undefined before its first statement. */
  get pooled(): PooledConnection | undefined {
    return this.#core().session.pooled;
  }

  /** Rolls back what was not committed and gives the connection back. Idempotent. */
  close(): Promise<void> {
    return promiseTry(() => this.#core().close());
  }

  /** The same as `close()`. */
  aclose(): Promise<void> {
    return this.close();
  }

  /** For `await using`: `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * Ends the physical connection at once; a transaction in progress must be rolled back before the next
   * statement.
   *
   * @throws NotStartedError before `start()`, ResourceClosedError after `close()`.
   */
  invalidate(cause?: unknown): void {
    this.#core().invalidate(cause);
  }

  /**
   * Cancels the statement that runs now, if one does. PGlite runs it to its end, and so does a quick read
   * that shares a session with others.
   */
  async cancel(): Promise<void> {
    await this.#core().session.cancel();
  }

  /** The options that its transactions and statements begin with: its own and those of its engine. */
  getExecutionOptions(): Readonly<ExecutionOptions> {
    return this.#core().options.current;
  }

  /**
   * Adds options for the transactions and statements to come. Those of BEGIN are refused inside a
   * transaction.
   */
  async executionOptions(options: ExecutionOptions): Promise<this> {
    this.#core().addOptions(options);
    return this;
  }

  /** The pooled connection with the driver's own client, inside the transaction in progress. */
  async getRawConnection(): Promise<PooledConnection> {
    return await this.#core().rawConnection();
  }

  /**
   * Hands `work`, code written for the driver, a client whose statements run on this connection and in its
   * transaction, and gives what it returns. The client ends with `work`; a BEGIN that it has not ended is
   * rolled back.
   *
   * @throws IllegalStateError for a BEGIN without an end, and for COMMIT or ROLLBACK without a BEGIN.
   *
   * @example
   * ```ts
   * await connection.run((client) => client.query('SELECT $1::int AS one', [1]));
   * ```
   */
  async run<A extends unknown[], T>(
    work: (client: DriverClient, ...args: A) => Promise<T>,
    ...args: A
  ): Promise<T> {
    expectFunction('connection.run()', work);
    const core = this.#core();
    core.session.expectOpenable();
    const lend = (): Promise<T> =>
      lendDriverClient(new ClientStatements(core), (client) => work(client, ...args));
    return await core.runHeld(lend);
  }

  /**
   * Asks the server for the level of the transaction in progress, else of the next. Begins none; never says
   * AUTOCOMMIT.
   */
  async getIsolationLevel(): Promise<IsolationLevel> {
    return await askIsolationLevel(this.#core());
  }

  /** Asks the server for the level of transactions that say nothing of their own. */
  get defaultIsolationLevel(): Promise<IsolationLevel> {
    return askDefaultIsolationLevel(this.#core());
  }

  /** True while a transaction is in progress, also one that has failed. */
  inTransaction(): boolean {
    return this.#core().inTransaction();
  }

  /** True while a savepoint is in progress. */
  inNestedTransaction(): boolean {
    return this.getNestedTransaction() !== undefined;
  }

  /** The root transaction in progress; the same object every time. */
  getTransaction(): Root | undefined {
    return this.#core().transactions.currentRoot;
  }

  /** The innermost savepoint in progress; the same object every time. */
  getNestedTransaction(): AsyncTransaction | undefined {
    const innermost = this.#core().transactions.innermost();
    return innermost?.nested === true ? innermost : undefined;
  }

  /**
   * Begins a transaction; nothing is sent before its first statement. Without `work` you get a handle that
   * rolls back unless it is committed. With `work`, the transaction is committed when it returns and rolled
   * back when it throws.
   *
   * @throws IllegalStateError when a transaction is in progress: use `beginNested()`, or end that one first.
   * PendingRollbackError when the one in progress was lost with its connection.
   *
   * @example
   * ```ts
   * await connection.begin(async () => {
   *   await connection.execute(sql`UPDATE accounts SET balance = balance - 5 WHERE id = 1`);
   *   await connection.execute(sql`UPDATE accounts SET balance = balance + 5 WHERE id = 2`);
   * });
   * ```
   */
  begin(options?: TransactionOptions): Promise<Root>;
  begin<T>(work: (transaction: Root) => Promise<T>, options?: TransactionOptions): Promise<T>;
  begin<T>(
    first?: TransactionOptions | ((transaction: Root) => Promise<T>),
    second?: TransactionOptions,
  ): Promise<T | Root> {
    return promiseTry<T | Root>(() => {
      const core = this.#core();
      const { session, transactions } = core;
      session.expectOpenable();
      if (typeof first !== 'function') {
        if (second !== undefined) expectFunction('connection.begin(work, options)', first);
        const root = transactions.begin(parsed(first));
        root.observation?.start();
        return Promise.resolve(root);
      }
      const root = transactions.begin(parsed(second));
      return core.runHeld(() => transactions.block(root, first));
    });
  }

  /**
   * Begins a savepoint, in a transaction that is begun first when there is none. Same two forms as `begin()`.
   *
   * @example
   * ```ts
   * const stored = await connection
   *   .beginNested(() => connection.execute(sql`INSERT INTO users (email) VALUES (${email})`))
   *   .catch((error: unknown) => {
   *     if (error instanceof UniqueViolationError) return undefined;
   *     throw error;
   *   });
   * ```
   */
  beginNested(): Promise<Nested>;
  beginNested<T>(work: (transaction: Nested) => Promise<T>): Promise<T>;
  beginNested<T>(work?: (transaction: Nested) => Promise<T>): Promise<T | Nested> {
    return promiseTry<T | Nested>(() => {
      const core = this.#core();
      const { session, transactions } = core;
      session.expectOpenable();
      if (work !== undefined) expectFunction('connection.beginNested(work)', work);
      const nested = transactions.beginNested(work !== undefined);
      if (work !== undefined) return core.runHeld(() => transactions.block(nested, work));
      nested.observation?.start();
      return Promise.resolve(nested);
    });
  }

  /** Commits the transaction in progress; without one it does nothing. */
  commit(): Promise<void> {
    return settled(() => this.#core().transactions.currentRoot?.commitNow());
  }

  /** Rolls the transaction in progress back; without one it does nothing. */
  rollback(): Promise<void> {
    return settled(() => this.#core().transactions.currentRoot?.rollbackNow());
  }

  /** What `JSON.stringify()` and the console show: nothing of its inside. */
  toJSON(): { readonly state: ConnectionState; readonly inTransaction: boolean } {
    return { state: this.state, inTransaction: this.inTransaction() };
  }

  /** @internal */
  [inspect.custom](_depth: number, options: InspectOptions): string {
    return `AsyncConnection ${inspect(this.toJSON(), options)}`;
  }

  /**
   * Adds a listener for what happens on this connection; it is called before those of the engine. See
   * {@link ConnectionEvents}.
   *
   * @throws ArgumentError for an async listener, InvalidRequestError for an event that a connection does not
   * have.
   */
  on<Name extends keyof Events>(event: Name, listener: Events[Name], options?: ListenerOptions): this {
    this.#core().listeners.hubOf(event).on(event, listener, options);
    return this;
  }

  /** Adds a listener that is called once. */
  once<Name extends keyof Events>(event: Name, listener: Events[Name], options?: ListenerOptions): this {
    this.#core()
      .listeners.hubOf(event)
      .on(event, listener, { ...options, once: true });
    return this;
  }

  /** Takes a listener of this connection away. */
  off<Name extends keyof Events>(event: Name, listener: Events[Name]): this {
    this.#core().listeners.hubOf(event).off(event, listener);
    return this;
  }
}

/** A connection of an engine in the mode that `settings` name. @internal */
export function makeConnection(
  host: ConnectionHost<AsyncConnection>,
  settings?: ConnectionSettings,
): AsyncConnection {
  return new ConnectionCore(host, asConnection, settings).connection;
}

/** What the user of `core` holds. @internal */
export function asConnection(core: Core): AsyncConnection {
  return new AsyncConnection(undefined, () => core);
}

/** Whatever is not undefined must be options: null is refused, too. */
function parsed(options: TransactionOptions | undefined): TransactionOptions | undefined {
  return options === undefined ? undefined : TRANSACTION_OPTIONS.parse(options);
}
