import type { Driver } from './driver/driver.js';
import { PgDriver } from './driver/pg/connect/pg-driver.js';
import { PgliteDriver } from './driver/pglite/pglite-driver.js';
import type { AsyncEngineOptions } from './engine-options.js';
import type { ResolvedEngineOptions } from './resolve-engine-options.js';
import { ArgumentError, NoSuchDriverError } from './errors/errors.js';
import type { PoolOptions } from './pool/pool-options.js';
import { StatementRegistry } from './driver/pg/session/statement-registry.js';
import { resolveTypes } from './driver/types/types.js';
import type { ResolvedTypes } from './driver/types/types.js';
import type { DatabaseUrl } from './driver/url/url.js';

type MakeDriver = (url: DatabaseUrl, options: ResolvedEngineOptions) => Driver;

const DRIVERS: Readonly<Record<string, MakeDriver>> = {
  pg: (url, options) => new PgDriver(url, { ...options, ...sharedBySessions(options) }),
  pglite: (url, options) => new PgliteDriver(url, { ...options, ...sharedBySessions(options) }),
};

/** What all sessions of one engine know together. */
function sharedBySessions(options: ResolvedEngineOptions): {
  types: ResolvedTypes;
  statements: StatementRegistry;
} {
  const { preparedStatementMaxAge: maxAge, logger } = options;
  return {
    types: resolveTypes(options.types, options.jsonDeserializer),
    statements: new StatementRegistry(maxAge === 0 ? Number.POSITIVE_INFINITY : maxAge, (message) =>
      logger.warn(message),
    ),
  };
}

/**
 * The options that a URL may hold: `?pgbouncer=true`, as providers of poolers write it.
 *
 * @throws ArgumentError for another value.
 */
export function optionsInUrl(url: DatabaseUrl): Pick<AsyncEngineOptions, 'pgbouncer'> {
  const given = url.normalizedQuery['pgbouncer']?.at(-1);
  if (given === undefined) return {};
  if (given === 'true' || given === 'false') return { pgbouncer: given === 'true' };
  throw new ArgumentError("the URL's pgbouncer must be true or false.");
}

/**
 * The driver that `url` names.
 *
 * @throws ArgumentError for a wrong URL or option, NoSuchDriverError for a driver that does not exist.
 */
export function makeDriver(url: DatabaseUrl, options: ResolvedEngineOptions): Driver {
  const make = DRIVERS[url.getDriverName()];
  if (make === undefined) {
    throw new NoSuchDriverError(
      `there is no driver '${url.getDriverName()}'. Use postgresql:// or postgresql+pglite://.`,
    );
  }
  const driver = make(url, options);
  expectEffect(driver, options.settings);
  return driver;
}

/** The pool's options within what the driver can open. */
export function poolOptionsFor(driver: Driver, options: PoolOptions): PoolOptions {
  const { name, maxConnections } = driver.facts;
  if (maxConnections === Number.POSITIVE_INFINITY) return options;
  const wanted = { poolSize: maxConnections, maxOverflow: 0 } as const;
  for (const [option, limit] of Object.entries(wanted)) {
    const given = options[option as keyof typeof wanted];
    if (given === undefined || given === limit) continue;
    throw new ArgumentError(
      `option '${option}' must be ${limit} with the driver ${name}, which supports a single session; got ${given}. ` +
        'Leave the option out.',
    );
  }
  return { ...options, ...wanted };
}

function expectEffect({ facts }: Driver, settings: Readonly<Record<string, string>>): void {
  const ignored = facts.ignoredSettings?.find((setting) => setting in settings);
  if (ignored === undefined) return;
  throw new ArgumentError(
    `the setting ${ignored} has no effect with the driver ${facts.name}, whose server can't interrupt a statement. ` +
      `Leave it out, or use postgresql://.`,
  );
}
