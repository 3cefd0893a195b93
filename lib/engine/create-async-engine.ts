import { makeDriver, optionsInUrl, poolOptionsFor } from './create-driver.js';
import { AsyncEngine } from './engine.js';
import type { Driver } from './driver/driver.js';
import { resolveDriverOptions, resolveEngineOptions } from './resolve-engine-options.js';
import type { ResolvedEngineOptions } from './resolve-engine-options.js';
import type { AsyncEngineOptions, DriverOptions } from './engine-options.js';
import { ArgumentError } from './errors/errors.js';
import { AmbientContext } from './ambient/async-context.js';
import { EchoLog, type EngineLogger } from './util/logger.js';
import type { EngineShared } from './engine-runner.js';
import { NotificationHub } from './execution/notification-hub.js';
import { Multiplexer } from './execution/sharing/multiplexer.js';
import { OpenScopes } from './ambient/open-scopes.js';
import { QueuePool } from './pool/kinds/queue-pool.js';
import type { PoolOptions } from './pool/pool-options.js';
import type { Pool } from './pool/pool.js';
import { Replica } from './pool/replicas/replica.js';
import type { ResolvedReplicaOptions } from './pool/replicas/replica-options.js';
import { ReplicaSet } from './pool/replicas/replica-set.js';
import { ErrorReplacements } from './execution/connection-observer.js';
import { IdSequence } from './execution/event-place.js';
import { CompiledCache } from './statement/compiled-cache.js';
import { Watchdog } from './util/watchdog.js';
import { makeUrl, type DatabaseUrl } from './driver/url/url.js';

const DEFAULT_PORT = 5432;

/**
 * Makes an engine for the database at `url`. Opens nothing: the first statement does.
 *
 * @throws ArgumentError for a wrong URL or option, NoSuchDriverError for a driver that does not exist.
 *
 * @example
 * ```ts
 * const engine = createAsyncEngine('postgresql://localhost/shop', { poolSize: 10 });
 * const items = await engine.execute(sql`SELECT * FROM items WHERE price < ${100}`).all();
 * await engine.aclose();
 * ```
 */
export function createAsyncEngine(url: string | DatabaseUrl, options: AsyncEngineOptions = {}): AsyncEngine {
  const databaseUrl = makeUrl(url);
  databaseUrl.getBackendName();
  const resolved = resolveEngineOptions(options, optionsInUrl(databaseUrl));
  const role = resolved.replicas && 'primary';
  const driver = makeDriver(databaseUrl, { ...resolved, role });
  const pool =
    options.pool ?? new (resolved.poolClass ?? QueuePool)(driver, poolOptionsFor(driver, resolved.pool));
  expectUsable(pool);
  logPool(pool, options, resolved.logger);
  const { name } = driver.facts;
  const { pgbouncer } = resolved;
  const shared: EngineShared = {
    url: databaseUrl,
    driver: name,
    pgbouncer,
    closeDriver: () => driver.close?.(),
    pool,
    state: 'open',
    dialect: { name: databaseUrl.getBackendName(), driver: name },
    hideParameters: options.hideParameters ?? false,
    ids: new IdSequence(),
    slowStatementThreshold: options.slowStatementThreshold,
    loggerName: loggerName('AsyncEngine', options.loggingName),
    replacements: new ErrorReplacements(),
    compiledCache: new CompiledCache(resolved.queryCacheSize),
    logger: resolved.logger,
    nestedWaitTimeout: resolved.nestedWaitTimeout,
    sessionSettings: resolved.settings,
    commitTimeout: resolved.commitTimeout,
    multiplexer: resolved.multiplex && driver.facts.maxConnections > 1 ? new Multiplexer() : undefined,
    watchdog: new Watchdog(),
    ambient: new AmbientContext(),
    scopes: new OpenScopes(),
    transactional: options.transactional,
    replicas: resolved.replicas && replicaSet(databaseUrl, resolved.replicas, resolved, () => shared.pool),
    notifications: new NotificationHub({ pool: () => shared.pool, driver: name, pgbouncer }),
  };
  return new AsyncEngine(shared, resolved.executionOptions, options.echo);
}

/** A driver and a pool for each, as the engine's own. */
function replicaSet(
  primary: DatabaseUrl,
  options: ResolvedReplicaOptions,
  resolved: ResolvedEngineOptions,
  primaryPool: () => Pool,
): ReplicaSet {
  const replicas = options.urls.map((given) => {
    const url = replicaUrl(primary, makeUrl(given));
    const driver = makeDriver(url, { ...resolved, role: 'replica' });
    const pool = new (resolved.poolClass ?? QueuePool)(driver, poolOptionsFor(driver, resolved.pool));
    return new Replica(addressOf(url), driver, pool);
  });
  return new ReplicaSet(options, replicas, primaryPool);
}

/** What a replica's URL leaves out is as in the URL of the primary. */
function replicaUrl(primary: DatabaseUrl, url: DatabaseUrl): DatabaseUrl {
  if (primary.getDriverName() !== 'pg' || url.getDriverName() !== 'pg')
    throw new ArgumentError(
      'replicas are for servers: use postgresql:// for the engine and for each replica.',
    );
  return url.set({
    username: url.username ?? primary.username,
    password: url.password ?? primary.password,
    database: url.database ?? primary.database,
  });
}

function addressOf({ hosts: [first] }: DatabaseUrl): string {
  return `${first?.host ?? 'localhost'}:${first?.port ?? DEFAULT_PORT}`;
}

function loggerName(kind: string, name: string | undefined): string {
  return name === undefined || name === '' ? kind : `${kind}.${name}`;
}

function logPool(pool: Pool, { echoPool, poolLoggingName }: AsyncEngineOptions, logger: EngineLogger): void {
  const name = loggerName(pool.name, poolLoggingName);
  pool.observer.logTo((tally) => new EchoLog(logger, name, echoPool ?? false, tally));
}

function expectUsable(pool: Pool): void {
  if (pool.isDisposed)
    throw new ArgumentError("option 'pool' got a pool that was disposed. Give pool.recreate().");
}

/**
 * Makes the driver that `url` names, with the options of an engine that concern it: for a {@link Driver} of
 * your own that wraps it. Opens nothing. A pool over it: `new QueuePool(driver, poolOptions)`.
 *
 * @throws ArgumentError for a wrong URL or option, or one of a pool; NoSuchDriverError for a driver that does
 * not exist.
 *
 * @example
 * ```ts
 * const driver = createDriver(url);
 * const logged: Driver = {
 *   facts: driver.facts,
 *   connect: (attempt) => {
 *     console.log('one more connection');
 *     return driver.connect(attempt);
 *   },
 * };
 * const engine = createAsyncEngine(url, { pool: new QueuePool(logged, { poolSize: 10 }) });
 * ```
 */
export function createDriver(url: string | DatabaseUrl, options: DriverOptions = {}): Driver {
  const databaseUrl = makeUrl(url);
  databaseUrl.getBackendName();
  return makeDriver(databaseUrl, resolveDriverOptions(options, optionsInUrl(databaseUrl)));
}

/**
 * Makes a pool without an engine: its connections are the driver's, and nothing compiles statements or begins
 * transactions. Opens nothing: the first `connect()` does.
 *
 * @throws ArgumentError for a wrong URL or option, NoSuchDriverError for a driver that does not exist.
 */
export function createAsyncPoolFromUrl(url: string | DatabaseUrl, options: PoolOptions = {}): Pool {
  const databaseUrl = makeUrl(url);
  databaseUrl.getBackendName();
  const driver = makeDriver(databaseUrl, resolveEngineOptions({}, optionsInUrl(databaseUrl)));
  if (driver.close !== undefined) {
    throw new ArgumentError(
      `a pool without an engine can't close the database of the driver ${driver.facts.name}. ` +
        `Use createAsyncEngine(), its pool and its aclose().`,
    );
  }
  return new QueuePool(driver, options);
}
