import type { Driver } from './driver/driver.js';
import { PgDriver } from './driver/pg/pg-driver.js';
import { AsyncEngine } from './engine.js';
import { resolveEngineOptions } from './engine-options.js';
import type { AsyncEngineOptions, PoolClass, ResolvedEngineOptions } from './engine-options.js';
import { ArgumentError, NoSuchDriverError } from './errors.js';
import { AmbientContext } from './frame.js';
import { EchoLog } from './log.js';
import type { EngineLogger } from './log.js';
import { OpenScopes } from './open-scopes.js';
import { AssertionPool, QueuePool, StaticPool } from './pool/index.js';
import type { Pool, PoolOptions } from './pool/index.js';
import { ReplacedErrors } from './replaced-errors.js';
import { CompiledCache } from './statement/index.js';
import { resolveTypes } from './types.js';
import { makeUrl } from './url.js';
import type { DatabaseUrl } from './url.js';

/**
 * Makes an engine for the database at `url`. Opens nothing: the first statement does.
 *
 * @throws ArgumentError for a wrong URL or option, NoSuchDriverError for a driver that does not exist.
 */
export function createAsyncEngine(url: string | DatabaseUrl, options: AsyncEngineOptions = {}): AsyncEngine {
  const databaseUrl = makeUrl(url);
  databaseUrl.getBackendName();
  const resolved = resolveEngineOptions(options);
  const driver = driverFor(databaseUrl, resolved);
  const pool = options.pool ?? new (resolved.poolClass ?? poolClassFor(driver))(driver, resolved.pool);
  expectUsable(pool, driver);
  logPool(pool, options, resolved.logger);
  const { name } = driver.facts;
  return new AsyncEngine(
    {
      url: databaseUrl,
      driver: name,
      pool,
      dialect: { name: databaseUrl.getBackendName(), driver: name },
      hideParameters: options.hideParameters ?? false,
      slowStatementThreshold: options.slowStatementThreshold,
      loggerName: loggerName('AsyncEngine', options.loggingName),
      replacements: new ReplacedErrors(),
      compiledCache: new CompiledCache(resolved.queryCacheSize),
      logger: resolved.logger,
      nestedWaitTimeout: resolved.nestedWaitTimeout,
      commitTimeout: resolved.commitTimeout,
      ambient: new AmbientContext(),
      scopes: new OpenScopes(),
      transactional: options.transactional,
    },
    resolved.executionOptions,
    options.echo,
  );
}

function loggerName(kind: string, name: string | undefined): string {
  return name === undefined || name === '' ? kind : `${kind}.${name}`;
}

function logPool(pool: Pool, { echoPool, poolLoggingName }: AsyncEngineOptions, logger: EngineLogger): void {
  const name = loggerName(pool.name, poolLoggingName);
  pool.watch.logTo((tally) => new EchoLog(logger, name, echoPool ?? false, tally));
}

function expectUsable(pool: Pool, { facts }: Driver): void {
  if (pool.isDisposed)
    throw new ArgumentError("option 'pool' got a pool that was disposed. Give pool.recreate().");
  if (facts.maxConnections > 1 || pool instanceof StaticPool || pool instanceof AssertionPool) return;
  throw new ArgumentError(
    `the driver '${facts.name}' has one session, which a ${pool.name} cannot share out. Use StaticPool.`,
  );
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
  const driver = driverFor(databaseUrl, resolveEngineOptions({}));
  return new (poolClassFor(driver))(driver, options);
}

function poolClassFor(driver: Driver): PoolClass {
  return driver.facts.maxConnections === 1 ? StaticPool : QueuePool;
}

function driverFor(url: DatabaseUrl, options: ResolvedEngineOptions): Driver {
  const name = url.getDriverName();
  if (name !== 'pg') {
    throw new NoSuchDriverError(
      `the driver '${name}' is not part of this version. Use postgresql+pg:// or postgresql://.`,
    );
  }
  const { connectTimeout, preparedStatementCacheSize, settings, password, connectArgs, asyncCreator } =
    options;
  const types = resolveTypes(options.types);
  return new PgDriver(url, {
    connectTimeout,
    preparedStatementCacheSize,
    settings,
    password,
    connectArgs,
    asyncCreator,
    types,
  });
}
