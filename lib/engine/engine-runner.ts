import { AmbientContext } from './ambient/async-context.js';
import type { OpenScopes } from './ambient/open-scopes.js';
import type { Scope } from './ambient/scope.js';
import type { TransactionalOptions } from './ambient/open-transaction.js';
import { StandaloneStream } from './ambient/standalone-stream.js';
import { makeConnection } from './connection/connection.js';
import type { AsyncConnection, AsyncTransaction, ConnectionEngine } from './connection/connection.js';
import { coreOf } from './connection/connection-core.js';
import type { ConnectionHost, Dialect } from './connection/connection-host.js';
import { NO_CONTROL, type CommandResult, type Control } from './driver/driver.js';
import type { DatabaseUrl } from './driver/url/url.js';
import { runAutocommitted, type AutocommitHost } from './execution/autocommit.js';
import type { ExecutionOptions } from './execution/execution-options.js';
import type { StatementRunner } from './execution/executor.js';
import type { Invocation } from './execution/invocation.js';
import type { NotificationHub } from './execution/notification-hub.js';
import type { Multiplexer } from './execution/sharing/multiplexer.js';
import type {
  ConnectionObserver,
  ErrorReplacements,
  ObserverFactory,
} from './execution/connection-observer.js';
import type { Pool } from './pool/pool.js';
import type { PooledConnection } from './pool/pooled-connection.js';
import { EngineCheckout } from './pool/waiting-line.js';
import type { StreamSource } from './result/stream-source.js';
import type { CompiledCache } from './statement/compiled-cache.js';
import { controlRefused } from './statement/transaction-command.js';
import { isWrite } from './transaction/command-tag.js';
import { ReplicaRouter, type Route } from './connection/replica-router.js';
import type { ReplicaSet } from './pool/replicas/replica-set.js';
import type { WriteMark } from './pool/replicas/write-mark.js';
import { autocommitControl, settingsControl } from './transaction/isolation.js';
import { printable, reportError, type EngineLogger } from './util/logger.js';
import type { IdSequence } from './execution/event-place.js';
import type { WaitSignal } from './util/wait-end.js';
import type { Watchdog } from './util/watchdog.js';

/** What an engine and the engines made of it by `executionOptions()` share. Times in ms. */
export interface EngineShared {
  readonly url: DatabaseUrl;
  readonly driver: string;
  /** True: a pooler gives each transaction another session. */
  readonly pgbouncer: boolean;
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
  readonly sessionSettings: Readonly<Record<string, string>>;
  readonly commitTimeout: number;
  readonly watchdog: Watchdog;
  /** Undefined: each statement has a connection to itself. */
  readonly multiplexer: Multiplexer | undefined;
  /** Its one connection that listens to channels. */
  readonly notifications: NotificationHub;
  readonly ambient: AmbientContext;
  readonly scopes: OpenScopes;
  readonly transactional: TransactionalOptions | undefined;
  /** Undefined: all work goes to the one server of the URL. */
  readonly replicas: ReplicaSet | undefined;
}

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
  readonly sessionSettings: Readonly<Record<string, string>>;
  readonly commitTimeout: number;
  readonly watchdog: Watchdog;
  readonly router: ReplicaRouter | undefined;
  executionOptions: ExecutionOptions;
  /** Of what runs outside of scopes. */
  #unscoped: ConnectionObserver<AsyncConnection> | undefined;

  constructor(shared: EngineShared, observers: ObserverFactory<AsyncConnection>, options: ExecutionOptions) {
    this.#shared = shared;
    this.observers = observers;
    this.executionOptions = options;
    this.compiledCache = shared.compiledCache;
    this.nestedWaitTimeout = shared.nestedWaitTimeout;
    this.sessionSettings = shared.sessionSettings;
    this.commitTimeout = shared.commitTimeout;
    this.watchdog = shared.watchdog;
    this.router = shared.replicas && new ReplicaRouter(shared.replicas, this);
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

  transactionOn(connection: AsyncConnection): AsyncTransaction | undefined {
    return this.#shared.ambient.transactionOn(connection);
  }

  runHolding<T>(connection: AsyncConnection, work: () => T): T {
    return this.#shared.ambient.runHolding(connection, work);
  }

  holding(): readonly PooledConnection[] {
    return this.#shared.ambient.holding();
  }

  readonly holdingNow = (): readonly PooledConnection[] => this.holding();

  checkout(signal?: WaitSignal): Promise<PooledConnection> {
    return this.connectTo(this.pool, signal);
  }

  connectTo(pool: Pool, signal?: WaitSignal): Promise<PooledConnection> {
    const connect = (end: WaitSignal | undefined): Promise<PooledConnection> =>
      pool.connect(new EngineCheckout(this.holding(), this.holdingNow, end));
    return this.scope === undefined ? connect(signal) : this.scope.waitInLine(connect, signal);
  }

  writeMarks(): readonly WriteMark[] {
    return this.#shared.ambient.writeMarks();
  }

  report(error: unknown): void {
    reportError(this.#shared.logger, error);
  }

  warn(message: string): void {
    this.#shared.logger.warn(printable(message));
  }

  runWithoutTransaction<T>(work: () => T): T {
    return this.#shared.ambient.runWithoutTransaction(work);
  }

  inside<T>(transaction: object, work: () => Promise<T>): Promise<T> {
    return this.#shared.ambient.runInside(transaction as AsyncTransaction, work);
  }

  commitsAlone(): boolean {
    return this.#shared.ambient.current?.active === undefined;
  }

  observer(): ConnectionObserver<AsyncConnection> | undefined {
    if (!this.observers.parts.hub.isObserved) return undefined;
    const frame = this.#shared.ambient.current;
    const active = frame?.active;
    return (active && coreOf(active).observer()) ?? this.#observerFor(frame?.scope);
  }

  get scope(): Scope | undefined {
    return this.#shared.ambient.current?.scope;
  }

  engineObserver(): ConnectionObserver<AsyncConnection> | undefined {
    return this.#observerFor(this.scope);
  }

  #observerFor(scope: Scope | undefined): ConnectionObserver<AsyncConnection> | undefined {
    if (scope !== undefined) return this.#observerIn(scope);
    return this.observers.parts.hub.isObserved ? (this.#unscoped ??= this.#observerIn(undefined)) : undefined;
  }

  #observerIn(scope: Scope | undefined): ConnectionObserver<AsyncConnection> | undefined {
    return this.observers.of({
      connection: undefined,
      scope,
      hub: this.observers.parts.hub,
      options: () => this.executionOptions,
      // The sender of the statement has its session, and asks the statement.
      invalidate: () => undefined,
    });
  }

  send(invocation: Invocation): Promise<CommandResult> {
    const frame = this.#shared.ambient.current;
    const active = frame?.active;
    // That of the scope says nothing: a frame between may have a savepoint in it.
    if (active !== undefined) return coreOf(active).send(invocation, frame?.transaction);
    const sent = this.#sendAlone(invocation);
    return this.#shared.ambient.neighbors.length === 0 ? sent : this.#tellNeighbors(sent);
  }

  #sendAlone(invocation: Invocation): Promise<CommandResult> {
    if (invocation.control !== undefined) throw controlRefused(invocation.control);
    const { isolationLevel: level, readOnly, deferrable } = this.executionOptions;
    const isInBegin = readOnly !== undefined || deferrable !== undefined;
    // BEGIN says what a statement alone can't; and all pages of an executemany are stored or none.
    if (isInBegin || (level !== undefined && level !== 'AUTOCOMMIT'))
      return this.#sendInTransaction(invocation);
    if (invocation.isMany && invocation.commands.length > invocation.pageSize)
      return this.#sendInTransaction(invocation);
    invocation.isAtomic = level !== 'AUTOCOMMIT';
    return this.router === undefined
      ? this.#sendTo(this, invocation, invocation.options.readOnly)
      : this.#sendRouted(invocation, this.router);
  }

  /** A statement outside of transactions goes to a replica where it or its scope says read-only. */
  #sendRouted(invocation: Invocation, router: ReplicaRouter): Promise<CommandResult> {
    const { readOnly: asked = this.#shared.ambient.current?.scope?.asked.readOnly } = invocation.options;
    const send = (readOnly: boolean | undefined): Promise<CommandResult> => {
      const route = router.route({ readOnly });
      if (route !== undefined) return this.#sendOn(route, invocation);
      const isRead = readOnly === true || invocation.texts.every((text) => router.isPlainRead(text));
      return this.#sendTo(isRead ? this : router.marking(), invocation, readOnly);
    };
    return typeof asked === 'object' ? asked.then(send) : send(asked);
  }

  /** On the primary after all, where the replica does not have the caller's own writes yet. */
  async #sendOn(route: Route, invocation: Invocation): Promise<CommandResult> {
    const choosing = route.choose();
    if (choosing !== undefined) await invocation.wait(() => choosing);
    // What shares a connection asks no question of its own.
    if (route.question === undefined) return await this.#sendTo(route, invocation, true);
    const result = await runAutocommitted(route, invocation, this.#controlOf(invocation, true));
    return route.isBehind ? await this.#sendTo(route, invocation, true) : result;
  }

  #sendTo(
    place: AutocommitHost,
    invocation: Invocation,
    readOnly: boolean | undefined,
  ): Promise<CommandResult> {
    const { settings } = invocation.options;
    const isPlain = settings === undefined && readOnly === undefined;
    const control = isPlain ? NO_CONTROL : this.#controlOf(invocation, readOnly);
    const { multiplexer } = this.#shared;
    return multiplexer?.run(place, invocation, control) ?? runAutocommitted(place, invocation, control);
  }

  runRead(invocation: Invocation): Promise<CommandResult> | undefined {
    return this.router === undefined ? this.#shared.multiplexer?.runRead(this, invocation) : undefined;
  }

  /** What a plain read can't do need not be forbidden: it shares connections then. */
  #controlOf({ texts, options, isMany }: Invocation, readOnly: boolean | undefined): readonly Control[] {
    const { settings } = options;
    const isPlain = readOnly === true && !isMany && this.router?.isPlainRead(texts[0] ?? '');
    return isPlain === true || readOnly === undefined
      ? settingsControl({ settings })
      : autocommitControl({ settings, readOnly });
  }

  async #tellNeighbors(sent: Promise<CommandResult>): Promise<CommandResult> {
    const result = await sent;
    const { neighbors, databaseName } = this.#shared.ambient;
    if (isWrite(result)) for (const neighbor of neighbors) neighbor.noteForeignWrite(databaseName);
    return result;
  }

  async #sendInTransaction(invocation: Invocation): Promise<CommandResult> {
    const { readOnly, settings } = invocation.options;
    const connection = makeConnection(this, { mode: 'scoped' });
    try {
      // Begun before anything is awaited, so that its origin is the line of the caller.
      return await connection.begin(
        async () => {
          await invocation.wait((end) => connection.start(end?.signal));
          return await connection.core.send(invocation);
        },
        { readOnly, settings },
      );
    } finally {
      await connection.close();
    }
  }

  openStream(invocation: Invocation): StreamSource {
    const { current } = this.#shared.ambient;
    const active = current?.active;
    if (active !== undefined) return coreOf(active).openStream(invocation);
    if (invocation.control !== undefined) throw controlRefused(invocation.control);
    return new StandaloneStream(this, this.#shared.ambient, invocation);
  }
}
