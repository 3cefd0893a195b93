import { ArgumentError, AsyncMethodRequiredError } from './errors/errors.js';
import { checkExecutionOptions, type ExecutionOptions } from './execution/execution-options.js';
import { CONSOLE_LOGGER, type Echo, type EngineLogger } from './util/logger.js';
import {
  asItIs,
  describeValue,
  durationRule,
  flagRule,
  integerRule,
  LONGEST_TIMER,
  type OptionRule,
  wordRule,
} from './util/option-rule.js';
import { overlay } from './util/merge-options.js';
import { AssertionPool } from './pool/assertion-pool.js';
import { NullPool } from './pool/null-pool.js';
import { poolOptionNames } from './pool/pool-options.js';
import { Pool } from './pool/pool.js';
import { StaticPool } from './pool/static-pool.js';
import type { PoolOptions } from './pool/pool-options.js';
import { poolOptionRules } from './pool/pool-options.js';
import type { Driver } from './driver/driver.js';
import type { TransactionalOptions } from './ambient/open-transaction.js';
import { sessionSettings } from './session-settings.js';
import { normalizeIsolationLevel } from './transaction/isolation.js';
import type { IsolationLevel } from './transaction/isolation.js';
import type { TypeOptions, TypeParser } from './driver/types/types.js';

/** Makes a pool over a driver: `QueuePool`, `NullPool`, `StaticPool`, `AssertionPool`. */
export type PoolClass = new (driver: Driver, options: PoolOptions) => Pool;

/** Options of `createAsyncEngine`. Times in ms. What is not listed is refused. */
export interface AsyncEngineOptions extends PoolOptions {
  /** Default `QueuePool`. */
  readonly poolClass?: PoolClass | undefined;
  /** A pool that exists already; then the engine takes no other option of a pool. */
  readonly pool?: Pool | undefined;
  /**
   * Opens each connection in place of the URL and `connectArgs`: gives a `pg` Client that is connected. Not
   * for PGlite.
   */
  readonly asyncCreator?: (() => Promise<unknown>) | undefined;
  /** Writes statements, BEGIN, COMMIT and ROLLBACK to the logger; `'debug'`: rows too. Default false. */
  readonly echo?: Echo | undefined;
  /**
   * Writes invalidations of the pool to the logger; `'debug'`: each checkout and return too. Default false.
   */
  readonly echoPool?: Echo | undefined;
  /** Tells the lines of several engines apart: `AsyncEngine.orders`. */
  readonly loggingName?: string | undefined;
  /** The same for the lines of the pool: `QueuePool.orders`. */
  readonly poolLoggingName?: string | undefined;
  /** Keeps values of parameters out of the log and of the messages of errors. Default false. */
  readonly hideParameters?: boolean | undefined;
  /** Statements that take longer, in ms, are warned of with the place that executed them. Default: none. */
  readonly slowStatementThreshold?: number | undefined;
  /** Parameter sets of an executemany that travel together. Default 1,000. */
  readonly insertmanyvaluesPageSize?: number | undefined;
  /** Of every transaction, as in {@link ExecutionOptions}. Default: the server's. */
  readonly isolationLevel?: IsolationLevel | undefined;
  /** What every connection and statement begins with. */
  readonly executionOptions?: ExecutionOptions | undefined;
  /** The driver's own options; they win over the URL. */
  readonly connectArgs?: Readonly<Record<string, unknown>> | undefined;
  /** Wins over the URL's; a function is asked for each new connection, so that tokens can rotate. */
  readonly password?: string | (() => Promise<string>) | undefined;
  /**
   * For each host that is tried. Default: the URL's `connect_timeout`, which counts seconds, else 10,000; 0:
   * no limit.
   */
  readonly connectTimeout?: number | undefined;
  /** Compiled `text()` statements that are kept. Default 500; 0: none. */
  readonly queryCacheSize?: number | undefined;
  /** Named statements per connection. Default 100; 0: none, and 0 by default with `pgbouncer`. */
  readonly preparedStatementCacheSize?: number | undefined;
  /** Friendly to poolers in transaction mode: no named statements, no session settings. */
  readonly pgbouncer?: boolean | undefined;
  /**
   * Plain reads outside of transactions that are known to be quick share connections when there are many at
   * once. Default true; false by default with `pgbouncer`. Never with a driver of one session.
   */
  readonly multiplex?: boolean | undefined;
  /**
   * The server's `statement_timeout` of each session. Default: the server's; 0: none. Refused over PGlite.
   */
  readonly statementTimeout?: number | undefined;
  /** The server's `lock_timeout` of each session. Default: the server's; 0: none. */
  readonly lockTimeout?: number | undefined;
  /**
   * The server's `idle_in_transaction_session_timeout`. Default: the server's; 0: none. Refused over PGlite.
   */
  readonly idleInTransactionTimeout?: number | undefined;
  /** The name of each session in `pg_stat_activity`. Default: the URL's `application_name`. */
  readonly applicationName?: string | undefined;
  /** Applied to each new connection after it is open. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /**
   * How values of a type arrive: `{ int8: 'bigint' }`, `'text'`, or a parser, by type name or oid; arrays
   * follow.
   */
  readonly types?: TypeOptions | undefined;
  /** Makes the text of an object that is sent as a value. Default `JSON.stringify`. */
  readonly jsonSerializer?: ((value: unknown) => string) | undefined;
  /** Reads json and jsonb. Default `JSON.parse`; `types` wins over it. */
  readonly jsonDeserializer?: TypeParser | undefined;
  /**
   * How long a statement or a nested transaction waits for another one beside it in which nothing runs.
   * Default 10,000.
   */
  readonly nestedWaitTimeout?: number | undefined;
  /**
   * How long the server may take for COMMIT, deferred constraints included; then `CommitOutcomeUnknownError`.
   * Default 60,000.
   */
  readonly commitTimeout?: number | undefined;
  /** What `transaction()` and `@Transactional()` do where their own options are silent. */
  readonly transactional?: TransactionalOptions | undefined;
}

/** Pools whose size is what they are. */
const FIXED_POOLS: readonly PoolClass[] = [AssertionPool, NullPool, StaticPool];

const duration = durationRule(0, `milliseconds from 0 to ${LONGEST_TIMER}`);
const count = integerRule(0, 'an integer of at least 0');
const record: OptionRule = {
  takes: 'an object',
  accepts: (value) => typeof value === 'object' && value !== null,
  coerce: asItIs,
};

const echoRule: OptionRule = {
  takes: "true, false or 'debug'",
  accepts: (value) => typeof value === 'boolean' || value === 'debug',
  coerce: (text) => (text.trim().toLowerCase() === 'debug' ? 'debug' : flagRule.coerce(text)),
};
const callback: OptionRule = {
  takes: 'a function',
  accepts: (value) => typeof value === 'function',
  coerce: asItIs,
};

const RULES: Readonly<Record<Exclude<keyof AsyncEngineOptions, keyof PoolOptions>, OptionRule>> = {
  poolClass: {
    takes: 'a class: QueuePool, NullPool, StaticPool or AssertionPool',
    accepts: (value) => typeof value === 'function',
    coerce: asItIs,
  },
  pool: {
    takes: 'a pool: QueuePool, NullPool, StaticPool, AssertionPool or a class made of them',
    accepts: (value) => value instanceof Pool,
    coerce: asItIs,
  },
  asyncCreator: {
    takes: 'an async function that gives a connected client of the driver',
    accepts: (value) => typeof value === 'function',
    coerce: asItIs,
  },
  echo: echoRule,
  echoPool: echoRule,
  loggingName: wordRule,
  poolLoggingName: wordRule,
  hideParameters: flagRule,
  slowStatementThreshold: duration,
  insertmanyvaluesPageSize: integerRule(1, 'an integer of at least 1'),
  isolationLevel: wordRule,
  executionOptions: record,
  connectArgs: record,
  password: {
    takes: 'a string, or an async function that gives one',
    accepts: (value) => typeof value === 'string' || typeof value === 'function',
    coerce: asItIs,
  },
  connectTimeout: duration,
  queryCacheSize: count,
  preparedStatementCacheSize: count,
  pgbouncer: flagRule,
  multiplex: flagRule,
  statementTimeout: duration,
  lockTimeout: duration,
  idleInTransactionTimeout: duration,
  applicationName: wordRule,
  settings: record,
  types: record,
  jsonSerializer: callback,
  jsonDeserializer: callback,
  nestedWaitTimeout: duration,
  commitTimeout: durationRule(1, `milliseconds from 1 to ${LONGEST_TIMER}`),
  transactional: record,
};

/** What each option of an engine takes, those of its pool among them. */
export const engineOptionRules: ReadonlyMap<string, OptionRule> = new Map(
  Object.entries({ ...RULES, ...poolOptionRules }),
);

/** The options with their defaults, checked. */
export interface ResolvedEngineOptions {
  readonly pool: PoolOptions;
  readonly poolClass: PoolClass | undefined;
  readonly executionOptions: ExecutionOptions;
  readonly asyncCreator: (() => Promise<unknown>) | undefined;
  readonly connectArgs: Readonly<Record<string, unknown>> | undefined;
  readonly password: string | (() => Promise<string>) | undefined;
  readonly connectTimeout: number | undefined;
  readonly queryCacheSize: number;
  readonly preparedStatementCacheSize: number;
  readonly multiplex: boolean;
  readonly settings: Readonly<Record<string, string>>;
  readonly types: TypeOptions | undefined;
  readonly jsonSerializer: ((value: unknown) => string) | undefined;
  readonly jsonDeserializer: TypeParser | undefined;
  readonly nestedWaitTimeout: number;
  readonly commitTimeout: number;
  readonly logger: EngineLogger;
}

/**
 * Checks every option before anything is made of them.
 *
 * @throws ArgumentError that names the option, what it got and what it takes; all unknown options together.
 */
export function resolveEngineOptions(options: AsyncEngineOptions): ResolvedEngineOptions {
  expectKnown(options);
  for (const [name, rule] of Object.entries(RULES)) {
    const value = options[name as keyof AsyncEngineOptions];
    if (value === undefined || rule.accepts(value)) continue;
    throw new ArgumentError(`option '${name}' got ${describeValue(value)}; it takes ${rule.takes}.`);
  }
  expectOnePool(options);
  if (options.executionOptions !== undefined) checkExecutionOptions(options.executionOptions);
  expectPoolTakes(options);
  const isolationLevel =
    options.isolationLevel === undefined ? undefined : normalizeIsolationLevel(options.isolationLevel);
  const { insertmanyvaluesPageSize: pageSize } = options;
  const pool = Object.fromEntries(poolOptionNames.map((name) => [name, options[name]]));
  return {
    pool,
    poolClass: options.poolClass,
    executionOptions: overlay<ExecutionOptions>(
      {
        ...(isolationLevel && { isolationLevel }),
        ...(pageSize !== undefined && { insertmanyvaluesPageSize: pageSize }),
      },
      options.executionOptions,
    ),
    asyncCreator: options.asyncCreator,
    connectArgs: options.connectArgs,
    password: options.password,
    connectTimeout: options.connectTimeout,
    queryCacheSize: options.queryCacheSize ?? 500,
    preparedStatementCacheSize: options.preparedStatementCacheSize ?? (options.pgbouncer === true ? 0 : 100),
    multiplex: options.multiplex ?? options.pgbouncer !== true,
    settings: sessionSettings(options),
    types: options.types,
    jsonSerializer: options.jsonSerializer,
    jsonDeserializer: options.jsonDeserializer,
    nestedWaitTimeout: options.nestedWaitTimeout ?? 10_000,
    commitTimeout: options.commitTimeout ?? 60_000,
    logger: options.logger ?? CONSOLE_LOGGER,
  };
}

function expectOnePool(options: AsyncEngineOptions): void {
  if (options.pool === undefined) return;
  const others = ['poolClass', 'asyncCreator', 'connectArgs', ...poolOptionNames] as const;
  const given = others.filter((name) => options[name] !== undefined);
  if (given.length === 0) return;
  throw new ArgumentError(
    `with a ready 'pool' the engine opens nothing by itself: ${given.join(', ')} would do nothing. Give them to the pool.`,
  );
}

function expectKnown(options: AsyncEngineOptions): void {
  if ('serverSideCursors' in options) {
    throw new AsyncMethodRequiredError(
      'serverSideCursors is no option of the engine: use stream(), which opens a cursor for its statement.',
    );
  }
  if ('creator' in options) {
    throw new ArgumentError(
      options.asyncCreator === undefined
        ? "there is no option 'creator'. Give asyncCreator, an async function that returns a connected client."
        : "'creator' and 'asyncCreator' were both given. Give asyncCreator alone.",
    );
  }
  const unknown = Object.keys(options).filter((name) => !engineOptionRules.has(name));
  if (unknown.length > 0) throw unknownOptions(unknown);
}

/** What only a pool that keeps connections of its own choice has a use for. */
const QUEUE_OPTIONS = [
  'poolSize',
  'maxOverflow',
  'poolTimeout',
  'poolUseLifo',
  'poolMinIdle',
  'poolIdleTimeout',
] as const satisfies readonly (keyof PoolOptions)[];

function expectPoolTakes(options: AsyncEngineOptions): void {
  const fixed = FIXED_POOLS.find((each) => each === options.poolClass);
  const unused = QUEUE_OPTIONS.filter((name) => options[name] !== undefined);
  if (fixed === undefined || unused.length === 0) return;
  throw new ArgumentError(
    `${unused.join(', ')}: the ${fixed.name} does not take that; leave it out, or use the QueuePool.`,
  );
}

/** The names as they were given. */
export function unknownOptions(names: readonly string[]): ArgumentError {
  const known = [...engineOptionRules.keys()].join(', ');
  return new ArgumentError(`unknown option ${names.map((name) => `'${name}'`).join(', ')}; known: ${known}.`);
}
