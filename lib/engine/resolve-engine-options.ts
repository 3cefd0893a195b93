import type { AsyncEngineOptions, PoolClass } from './engine-options.js';
import type { TypeOptions, TypeParser } from './driver/types/types.js';
import { ArgumentError, AsyncMethodRequiredError } from './errors/errors.js';
import { checkExecutionOptions, type ExecutionOptions } from './execution/execution-options.js';
import { AssertionPool } from './pool/assertion-pool.js';
import { NullPool } from './pool/null-pool.js';
import { poolOptionNames, poolOptionRules, type PoolOptions } from './pool/pool-options.js';
import { Pool } from './pool/pool.js';
import { StaticPool } from './pool/static-pool.js';
import { checkSettings, normalizeIsolationLevel } from './transaction/isolation.js';
import { CONSOLE_LOGGER, type EngineLogger } from './util/logger.js';
import { mergeOptions } from './util/merge-options.js';
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
    executionOptions: mergeOptions<ExecutionOptions>(
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

/** The options of an engine that become settings of each session. */
interface SettingSources {
  readonly settings?: Readonly<Record<string, string>> | undefined;
  readonly applicationName?: string | undefined;
  readonly statementTimeout?: number | undefined;
  readonly lockTimeout?: number | undefined;
  readonly idleInTransactionTimeout?: number | undefined;
  readonly pgbouncer?: boolean | undefined;
}

/**
 * @throws ArgumentError for a name that is none, and for any setting behind a pooler that would hand it to
 * others.
 */
function sessionSettings(options: SettingSources): Readonly<Record<string, string>> {
  const settings: Record<string, string> = { ...options.settings };
  const { applicationName, statementTimeout, lockTimeout, idleInTransactionTimeout } = options;
  if (applicationName !== undefined) settings['application_name'] = applicationName;
  if (statementTimeout !== undefined) settings['statement_timeout'] = String(statementTimeout);
  if (lockTimeout !== undefined) settings['lock_timeout'] = String(lockTimeout);
  if (idleInTransactionTimeout !== undefined) {
    settings['idle_in_transaction_session_timeout'] = String(idleInTransactionTimeout);
  }
  checkSettings(settings);
  const names = Object.keys(settings);
  if (options.pgbouncer === true && names.length > 0) {
    throw new ArgumentError(
      `pgbouncer hands one session to many clients, so ${names.join(', ')} would reach others. ` +
        `Give settings per transaction: executionOptions: { settings } or transaction options.`,
    );
  }
  return settings;
}
