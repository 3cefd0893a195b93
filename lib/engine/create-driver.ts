import type { Driver } from './driver/driver.js';
import { PgDriver } from './driver/pg/connect/pg-driver.js';
import { PgliteDriver } from './driver/pglite/pglite-driver.js';
import type { OptionsInUrl, ResolvedEngineOptions } from './resolve-engine-options.js';
import { ArgumentError, NoSuchDriverError } from './errors/errors.js';
import type { PoolOptions } from './pool/pool-options.js';
import { SharedTables } from './driver/pg/connect/shared-tables.js';
import { StatementRegistry } from './driver/pg/prepared/statement-registry.js';
import { resolveTypes, type ResolvedTypes } from './driver/types/types.js';
import type { DatabaseUrl } from './driver/url/url.js';

type MakeDriver = (url: DatabaseUrl, options: ResolvedEngineOptions) => Driver;

const DRIVERS: Readonly<Record<string, MakeDriver>> = {
  pg: (url, options) =>
    new PgDriver(url, { ...options, ...sharedBySessions(options), commits: commitsOf(options) }),
  pglite: (url, options) => new PgliteDriver(url, { ...options, ...sharedBySessions(options) }),
};

/** What all sessions of one engine know together. */
function sharedBySessions(options: ResolvedEngineOptions): {
  types: ResolvedTypes;
  statements: StatementRegistry;
  tables: SharedTables;
} {
  const { preparedStatementMaxAge: maxAge, logger } = options;
  return {
    types: resolveTypes(options.types, options.jsonDeserializer),
    statements: new StatementRegistry(maxAge === 0 ? Number.POSITIVE_INFINITY : maxAge, (message) =>
      logger.warn(message),
    ),
    tables: new SharedTables(),
  };
}

/** Warns once where the server can't be asked how a COMMIT ended. */
function commitsOf({
  commitOutcome,
  logger,
}: ResolvedEngineOptions): { unknown(error: Error): void } | undefined {
  if (commitOutcome === 'report') return undefined;
  let hasWarned = false;
  const unknown = ({ message }: Error): void => {
    if (!hasWarned) {
      logger.warn(
        `commitOutcome: 'resolve' has no effect: this server can't say how a COMMIT ended whose connection is lost ` +
          `(${message}). Leave the option out.`,
      );
    }
    hasWarned = true;
  };
  return { unknown };
}

/**
 * The options that a URL may hold: `?pgbouncer=true`, as providers of poolers write it, and `commitOutcome`.
 *
 * @throws ArgumentError for another value.
 */
export function optionsInUrl(url: DatabaseUrl): OptionsInUrl {
  const pgbouncer = wordInUrl(url, 'pgbouncer', ['true', 'false']);
  const commitOutcome = wordInUrl(url, 'commitOutcome', ['resolve', 'report']);
  return {
    ...(pgbouncer && { pgbouncer: pgbouncer === 'true' }),
    ...(commitOutcome && { commitOutcome }),
  };
}

function wordInUrl<Word extends string>(
  url: DatabaseUrl,
  name: keyof OptionsInUrl,
  words: readonly [Word, Word],
): Word | undefined {
  const given = url.normalizedQuery[name]?.at(-1);
  const word = words.find((each) => each === given);
  if (given === undefined || word !== undefined) return word;
  throw new ArgumentError(`the URL's ${name} must be ${words.join(' or ')}.`);
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
