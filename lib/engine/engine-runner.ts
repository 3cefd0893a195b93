import { AmbientContext } from './ambient/async-context.js';
import type { OpenScopes } from './ambient/open-scopes.js';
import type { Scope } from './ambient/scope.js';
import type { TransactionalOptions } from './ambient/open-transaction.js';
import { StandaloneStream } from './ambient/standalone-stream.js';
import { makeConnection } from './connection/connection.js';
import type { AsyncConnection, AsyncTransaction, ConnectionEngine } from './connection/connection.js';
import type { ConnectionHost, Dialect } from './connection/connection-host.js';
import type { CommandResult, Control } from './driver/driver.js';
import type { DatabaseUrl } from './driver/url/url.js';
import { runAutocommitted } from './execution/autocommit.js';
import type { AutocommitHost } from './execution/autocommit.js';
import type { ExecutionOptions } from './execution/execution-options.js';
import type { StatementRunner } from './execution/executor.js';
import type { Invocation } from './execution/invocation.js';
import type { NotificationHub } from './execution/notification-hub.js';
import type { Multiplexer } from './execution/multiplexer.js';
import type { ErrorReplacements } from './execution/connection-observer.js';
import type { ObserverFactory, ConnectionObserver } from './execution/connection-observer.js';
import type { Pool } from './pool/pool.js';
import type { PooledConnection } from './pool/pooled-connection.js';
import type { StreamSource } from './result/stream-source.js';
import type { CompiledCache } from './statement/compiled-cache.js';
import { controlRefused } from './statement/transaction-command.js';
import { isWrite } from './transaction/command-tag.js';
import { settingsControl } from './transaction/isolation.js';
import type { EngineLogger } from './util/logger.js';
import type { IdSequence } from './execution/event-place.js';
import type { Watchdog } from './util/watchdog.js';

/** What an engine and the engines made of it by `executionOptions()` share. Times in ms. */
export interface EngineShared {
  readonly url: DatabaseUrl;
  readonly driver: string;
  /** Ends what the driver holds beside its sessions. */
  readonly closeDriver: () => Promise<void> | undefined;
  pool: Pool;
  /** `closed` by `aclose()`, for good. */
  state: 'open' | 'closed';
  readonly compiledCache: CompiledCache;
  readonly dialect: Dialect;
  readonly logger: EngineLogger;
  /** `AsyncEngine`, or with a `loggingName` of its own `AsyncEngine.orders`. */
  readonly loggerName: string;
  readonly hideParameters: boolean;
  /** Names statements and transactions for those who observe them. */
  readonly ids: IdSequence;
  readonly slowStatementThreshold: number | undefined;
  readonly replacements: ErrorReplacements;
  readonly nestedWaitTimeout: number;
  readonly commitTimeout: number;
  readonly watchdog: Watchdog;
  /** Undefined: each statement has a connection to itself. */
  readonly multiplexer: Multiplexer | undefined;
  /** Its one connection that listens to channels. */
  readonly notifications: NotificationHub;
  readonly ambient: AmbientContext;
  readonly scopes: OpenScopes;
  readonly transactional: TransactionalOptions | undefined;
}

const NO_CONTROL: readonly Control[] = [];

/** The same with an async context of its own. */
export function detachedFrom(shared: EngineShared): EngineShared {
  return Object.create(shared, { ambient: { value: new AmbientContext() } }) as EngineShared;
}

/** Where the statements of one engine run, and what its connections need of it. */
export class EngineRunner implements StatementRunner, AutocommitHost, ConnectionHost<AsyncConnection> {
  readonly #shared: EngineShared;
  readonly observers: ObserverFactory<AsyncConnection>;
  readonly compiledCache: CompiledCache;
  readonly nestedWaitTimeout: number;
  readonly commitTimeout: number;
  readonly watchdog: Watchdog;
  options: ExecutionOptions;

  constructor(shared: EngineShared, observers: ObserverFactory<AsyncConnection>, options: ExecutionOptions) {
    this.#shared = shared;
    this.observers = observers;
    this.options = options;
    this.compiledCache = shared.compiledCache;
    this.nestedWaitTimeout = shared.nestedWaitTimeout;
    this.commitTimeout = shared.commitTimeout;
    this.watchdog = shared.watchdog;
  }

  get engine(): ConnectionEngine {
    return this.observers.parts.owner.engine;
  }

  get pool(): Pool {
    return this.#shared.pool;
  }

  get logger(): EngineLogger {
    return this.#shared.logger;
  }

  get dialect(): Dialect {
    return this.#shared.dialect;
  }

  getExecutionOptions(): ExecutionOptions {
    return this.options;
  }

  statementDefaults(): ExecutionOptions {
    return this.options;
  }

  transactionOn(connection: AsyncConnection): AsyncTransaction | undefined {
    return this.#shared.ambient.transactionOn(connection);
  }

  holding(): readonly PooledConnection[] {
    return this.#shared.ambient.holding();
  }

  readonly holdingNow = (): readonly PooledConnection[] => this.holding();

  checkout(signal?: AbortSignal): Promise<PooledConnection> {
    const holding = this.holding();
    const { holdingNow } = this;
    const { scope } = this;
    if (scope === undefined) return this.pool.connect({ holding, holdingNow, signal });
    return scope.waitInLine((ending) => this.pool.connect({ holding, holdingNow, signal: ending }), signal);
  }

  outside<T>(work: () => T): T {
    return this.#shared.ambient.runWithoutTransaction(work);
  }

  inside<T>(transaction: object, work: () => Promise<T>): Promise<T> {
    return this.#shared.ambient.runInside(transaction as AsyncTransaction, work);
  }

  observer(): ConnectionObserver<AsyncConnection> | undefined {
    if (!this.observers.parts.hub.isObserved) return undefined;
    return this.#shared.ambient.current?.active?.connection.core.observer() ?? this.engineObserver();
  }

  get scope(): Scope | undefined {
    return this.#shared.ambient.current?.scope;
  }

  engineObserver(): ConnectionObserver<AsyncConnection> | undefined {
    return this.observers.of({
      connection: undefined,
      scope: this.scope,
      hub: this.observers.parts.hub,
      options: () => this.options,
      // The sender of the statement has its session, and asks the statement.
      invalidate: () => undefined,
    });
  }

  send(invocation: Invocation): Promise<CommandResult> {
    const active = this.#shared.ambient.current?.active;
    if (active !== undefined) return active.connection.core.send(invocation);
    const sent = this.#sendAlone(invocation);
    return this.#shared.ambient.neighbors.length === 0 ? sent : this.#tellNeighbors(sent);
  }

  #sendAlone(invocation: Invocation): Promise<CommandResult> {
    if (invocation.control !== undefined) throw controlRefused(invocation.control);
    const { settings, isolationLevel: level, readOnly, deferrable } = this.options;
    const isInBegin = readOnly !== undefined || deferrable !== undefined;
    // BEGIN says what a statement alone can't; and all pages of an executemany are stored or none.
    if (isInBegin || (level !== undefined && level !== 'AUTOCOMMIT'))
      return this.#sendInTransaction(invocation);
    if (invocation.isMany && invocation.commands.length > invocation.pageSize)
      return this.#sendInTransaction(invocation);
    invocation.isAtomic = level !== 'AUTOCOMMIT';
    const control = settings === undefined ? NO_CONTROL : settingsControl({ settings });
    const { multiplexer } = this.#shared;
    return multiplexer?.run(this, invocation, control) ?? runAutocommitted(this, invocation, control);
  }

  async #tellNeighbors(sent: Promise<CommandResult>): Promise<CommandResult> {
    const result = await sent;
    const { neighbors, databaseName } = this.#shared.ambient;
    if (isWrite(result)) for (const neighbor of neighbors) neighbor.noteForeignWrite(databaseName);
    return result;
  }

  async #sendInTransaction(invocation: Invocation): Promise<CommandResult> {
    const connection = makeConnection(this, { mode: 'scoped' });
    try {
      // Begun before anything is awaited, so that its origin is the line of the caller.
      return await connection.begin(async () => {
        await invocation.wait((signal) => connection.start(signal));
        return await connection.core.send(invocation);
      });
    } finally {
      await connection.close();
    }
  }

  openStream(invocation: Invocation): StreamSource {
    const active = this.#shared.ambient.current?.active;
    if (active !== undefined) return active.connection.core.openStream(invocation);
    if (invocation.control !== undefined) throw controlRefused(invocation.control);
    return new StandaloneStream(this, this.#shared.ambient, invocation);
  }
}
