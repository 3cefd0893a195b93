import type { Driver } from './driver/driver.js';
import { PgDriver } from './driver/pg/pg-driver.js';
import { AsyncEngine } from './engine.js';
import { resolveEngineOptions } from './engine-options.js';
import type { AsyncEngineOptions, PoolClass, ResolvedEngineOptions } from './engine-options.js';
import { NoSuchDriverError } from './errors.js';
import { AmbientContext } from './frame.js';
import { OpenScopes } from './open-scopes.js';
import { QueuePool, StaticPool } from './pool/index.js';
import type { Pool, PoolOptions } from './pool/index.js';
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
  return new AsyncEngine(
    {
      url: databaseUrl,
      driver: driver.facts.name,
      pool: new (resolved.poolClass ?? poolClassFor(driver))(driver, resolved.pool),
      compiledCache: new CompiledCache(resolved.queryCacheSize),
      logger: resolved.logger,
      nestedWaitTimeout: resolved.nestedWaitTimeout,
      ambient: new AmbientContext(),
      scopes: new OpenScopes(),
      transactional: options.transactional,
    },
    resolved.executionOptions,
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
  const { connectTimeout, preparedStatementCacheSize, settings, password, connectArgs } = options;
  const types = resolveTypes(options.types);
  return new PgDriver(url, {
    connectTimeout,
    preparedStatementCacheSize,
    settings,
    password,
    connectArgs,
    types,
  });
}
