import { DRIVER_OPTIONS, driverOptionNames } from './engine-options.js';
import type { AsyncEngineOptions, DriverOptions, PoolClass } from './engine-options.js';
import { TRANSACTIONAL_OPTIONS } from './ambient/transactional-options.js';
import type { ServerRole } from './driver/driver.js';
import type { TypeOptions, TypeParser } from './driver/types/types.js';
import { ArgumentError, AsyncMethodRequiredError } from './errors/errors.js';
import { EXECUTION_OPTIONS, type ExecutionOptions } from './execution/execution-options.js';
import { AssertionPool } from './pool/kinds/assertion-pool.js';
import { NullPool } from './pool/kinds/null-pool.js';
import { POOL_OPTIONS, poolOptionNames, type PoolOptions } from './pool/pool-options.js';
import { Pool } from './pool/pool.js';
import { replicasRule, resolveReplicaOptions } from './pool/replicas/replica-options.js';
import type { ResolvedReplicaOptions } from './pool/replicas/replica-options.js';
import { StaticPool } from './pool/kinds/static-pool.js';
import { MAX_NAME_BYTES } from './statement/identifier.js';
import { isolationLevelRule, settingsRule } from './transaction/isolation.js';
import { CONSOLE_LOGGER, type EngineLogger } from './util/logger.js';
import { mergeOptions } from './util/merge-options.js';
import {
  asItIs,
  deadlineRule,
  durationRule,
  flagRule,
  functionRule,
  integerRule,
  limitRule,
  LONGEST_TIMER,
  oneOf,
  recordRule,
  synchronousRule,
  timeRule,
  wordRule,
  type OptionRule,
} from './util/option-rule.js';
import { OptionTable, tableRule } from './util/option-table.js';
import { foreignOptions } from './driver/url/foreign-options.js';

/** Pools that keep a number of connections of their own. */
const FIXED_POOLS: readonly PoolClass[] = [AssertionPool, NullPool, StaticPool];

const count = integerRule(0, 'an integer of at least 0');
const echoRule = oneOf(true, false, 'debug');

/** The server cuts longer names off. */
const serverNameRule: OptionRule = {
  expected: `a string of at most ${MAX_NAME_BYTES} bytes, without NUL`,
  accepts: (value) =>
    typeof value === 'string' && !value.includes('\0') && Buffer.byteLength(value) <= MAX_NAME_BYTES,
  coerce: asItIs,
};

/** What each option of an engine may be, those of its pool among them. */
export const ENGINE_OPTIONS = new OptionTable<AsyncEngineOptions>(
  'engine',
  {
    ...POOL_OPTIONS.rules,
    poolClass: {
      expected: 'a class: QueuePool, NullPool, StaticPool or AssertionPool',
      accepts: (value) => typeof value === 'function' && value.prototype instanceof Pool,
      coerce: asItIs,
    },
    pool: {
      expected:
        'a pool: QueuePool, NullPool, StaticPool, AssertionPool or a class made of them (its size is poolSize and maxOverflow)',
      accepts: (value) => value instanceof Pool,
      coerce: asItIs,
    },
    asyncCreator: {
      expected: 'an async function that gives a connected client of the driver',
      accepts: functionRule.accepts,
      coerce: asItIs,
    },
    echo: echoRule,
    echoPool: echoRule,
    loggingName: wordRule,
    poolLoggingName: wordRule,
    hideParameters: flagRule,
    slowStatementThreshold: timeRule,
    insertmanyvaluesPageSize: integerRule(1, 'an integer of at least 1'),
    isolationLevel: isolationLevelRule,
    executionOptions: tableRule(EXECUTION_OPTIONS),
    connectArgs: recordRule,
    password: {
      expected: 'a string, or an async function that gives one',
      accepts: (value) => typeof value === 'string' || typeof value === 'function',
      coerce: asItIs,
      isSecret: true,
    },
    connectTimeout: limitRule,
    socketTimeout: limitRule,
    deadHostMemory: timeRule,
    commitOutcome: oneOf('resolve', 'report'),
    executemany: oneOf('auto', 'arrays', 'rows'),
    settingsAs: oneOf('set_config', 'set local'),
    queryCacheSize: count,
    preparedStatementCacheSize: count,
    preparedStatementMaxAge: limitRule,
    pgbouncer: flagRule,
    multiplex: flagRule,
    statementTimeout: limitRule,
    lockTimeout: limitRule,
    idleInTransactionTimeout: limitRule,
    applicationName: serverNameRule,
    settings: settingsRule,
    types: recordRule,
    jsonSerializer: synchronousRule,
    jsonDeserializer: synchronousRule,
    nestedWaitTimeout: deadlineRule,
    commitTimeout: durationRule(1, `milliseconds from 1 to ${LONGEST_TIMER}`),
    transactional: tableRule(TRANSACTIONAL_OPTIONS),
    replicas: replicasRule,
  },
  'refused',
  foreignOptions,
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
  readonly socketTimeout: number | undefined;
  readonly deadHostMemory: number | undefined;
  readonly commitOutcome: 'resolve' | 'report';
  readonly executemany: NonNullable<AsyncEngineOptions['executemany']>;
  readonly settingsAs: NonNullable<AsyncEngineOptions['settingsAs']>;
  readonly queryCacheSize: number;
  readonly preparedStatementCacheSize: number;
  readonly preparedStatementMaxAge: number;
  readonly pgbouncer: boolean;
  readonly multiplex: boolean;
  readonly settings: Readonly<Record<string, string>>;
  /** Settings that leave with the startup message. */
  readonly startupSettings: Readonly<Record<string, string>>;
  readonly types: TypeOptions | undefined;
  readonly jsonSerializer: ((value: unknown) => string) | undefined;
  readonly jsonDeserializer: TypeParser | undefined;
  readonly nestedWaitTimeout: number;
  readonly commitTimeout: number;
  readonly replicas: ResolvedReplicaOptions | undefined;
  readonly hideParameters: boolean;
  /** Of the server, where there are replicas. */
  readonly role?: ServerRole | undefined;
  readonly logger: EngineLogger;
}

/** Options that a URL may hold, too. */
export type OptionsInUrl = Pick<AsyncEngineOptions, 'pgbouncer' | 'commitOutcome'>;

/**
 * Checks every option before anything is created. `fromUrl` counts where the options are silent.
 *
 * @throws ArgumentError that names the option, what it must be and what it got; all unknown names together.
 */
export function resolveEngineOptions(
  given: AsyncEngineOptions,
  fromUrl: OptionsInUrl = {},
): ResolvedEngineOptions {
  expectNoCreator(given);
  const parsed = ENGINE_OPTIONS.parse(given);
  const options = mergeOptions<AsyncEngineOptions>(fromUrl, parsed);
  expectOnePool(options);
  expectReachable(options);
  expectPoolTakes(options);
  const pool: PoolOptions = Object.fromEntries(poolOptionNames.map((name) => [name, options[name]]));
  // Behind a pooler the session is not ours, and the pooler resets it.
  const poolResetOnReturn =
    pool.poolResetOnReturn === undefined && options.pgbouncer === true ? 'rollback' : pool.poolResetOnReturn;
  return {
    pool: { ...pool, poolResetOnReturn },
    poolClass: options.poolClass,
    executionOptions: executionOptionsOf(options),
    asyncCreator: options.asyncCreator,
    connectArgs: options.connectArgs,
    password: options.password,
    connectTimeout: options.connectTimeout,
    socketTimeout: options.socketTimeout,
    deadHostMemory: options.deadHostMemory,
    commitOutcome: options.commitOutcome ?? 'report',
    executemany: options.executemany ?? 'auto',
    settingsAs: options.settingsAs ?? settingsAsOf(options),
    queryCacheSize: options.queryCacheSize ?? 500,
    preparedStatementCacheSize: options.preparedStatementCacheSize ?? (options.pgbouncer === true ? 0 : 100),
    preparedStatementMaxAge: options.preparedStatementMaxAge ?? 300_000,
    pgbouncer: options.pgbouncer === true,
    multiplex: options.multiplex ?? options.pgbouncer !== true,
    ...sessionSettings(options),
    types: options.types,
    jsonSerializer: options.jsonSerializer,
    jsonDeserializer: options.jsonDeserializer,
    nestedWaitTimeout: options.nestedWaitTimeout ?? 10_000,
    commitTimeout: options.commitTimeout ?? 60_000,
    replicas: options.replicas && resolveReplicaOptions(options.replicas),
    hideParameters: options.hideParameters ?? false,
    logger: options.logger ?? CONSOLE_LOGGER,
  };
}

/**
 * Checks the options of a driver alone.
 *
 * @throws ArgumentError for one that a driver does not use, too.
 */
export function resolveDriverOptions(given: DriverOptions, fromUrl: OptionsInUrl): ResolvedEngineOptions {
  const resolved = resolveEngineOptions(given, fromUrl);
  const others = Object.entries(given).filter(
    ([name, value]) => value !== undefined && !driverOptionNames.includes(name),
  );
  if (others.length === 0) return resolved;
  throw new ArgumentError(
    `${others.map(([name]) => name).join(', ')} has no effect on a driver. Pass it to the pool or to the engine.`,
  );
}

/** Where Citus is asked to hand settings on, it does so with SET LOCAL alone. */
function settingsAsOf({
  settings,
  executionOptions,
}: AsyncEngineOptions): ResolvedEngineOptions['settingsAs'] {
  const all = { ...settings, ...executionOptions?.settings };
  return all['citus.propagate_set_commands'] === 'local' ? 'set local' : 'set_config';
}

function executionOptionsOf({
  isolationLevel,
  insertmanyvaluesPageSize,
  executionOptions,
}: AsyncEngineOptions): ExecutionOptions {
  const defaults: ExecutionOptions = {
    ...(isolationLevel !== undefined && { isolationLevel }),
    ...(insertmanyvaluesPageSize !== undefined && { insertmanyvaluesPageSize }),
  };
  return mergeOptions(defaults, executionOptions);
}

function expectOnePool(options: AsyncEngineOptions): void {
  if (options.pool === undefined) return;
  const others = ['poolClass', ...DRIVER_OPTIONS, ...poolOptionNames] as const;
  const given = others.filter((name) => options[name] !== undefined);
  if (given.length === 0) return;
  throw new ArgumentError(
    `${given.join(', ')} has no effect together with 'pool'. Pass it to the pool, or to createDriver() for the pool's driver.`,
  );
}

/** Replicas are reached as the URL says, and by nothing that leads to one server alone. */
function expectReachable({ replicas, asyncCreator, pool }: AsyncEngineOptions): void {
  if (replicas === undefined || (asyncCreator === undefined && pool === undefined)) return;
  throw new ArgumentError(
    `'replicas' can't be used together with '${pool === undefined ? 'asyncCreator' : 'pool'}', which says nothing of ` +
      'how a replica is reached. Pass a URL and options of the pool.',
  );
}

/** Names that SQLAlchemy has and that mean something else here. */
function expectNoCreator(options: unknown): void {
  if (typeof options !== 'object' || options === null) return;
  if ('serverSideCursors' in options) {
    throw new AsyncMethodRequiredError(
      'serverSideCursors is not an engine option: use stream(), which opens a cursor for its statement.',
    );
  }
  if (!('creator' in options)) return;
  throw new ArgumentError(
    'asyncCreator' in options
      ? "'creator' and 'asyncCreator' were both given. Pass asyncCreator only."
      : "'creator' is not an engine option. Pass asyncCreator, an async function that returns a connected client.",
  );
}

/** Options that only a QueuePool uses. */
const QUEUE_OPTIONS = [
  'poolSize',
  'maxOverflow',
  'poolTimeout',
  'poolQueueTarget',
  'poolQueueInterval',
  'poolUseLifo',
  'poolMinIdle',
  'poolIdleTimeout',
] as const satisfies readonly (keyof PoolOptions)[];

function expectPoolTakes(options: AsyncEngineOptions): void {
  const fixed = FIXED_POOLS.find((each) => each === options.poolClass);
  const unused = QUEUE_OPTIONS.filter((name) => options[name] !== undefined);
  if (fixed === undefined || unused.length === 0) return;
  throw new ArgumentError(
    `${unused.join(', ')} has no effect on a ${fixed.name}. Leave it out, or use the QueuePool.`,
  );
}

/**
 * What poolers track for each of their clients: they accept it at the start of a session, and nothing else.
 * In lower case, as the server compares names.
 */
const TRACKED: ReadonlySet<string> = new Set([
  'application_name',
  'client_encoding',
  'datestyle',
  'standard_conforming_strings',
  'timezone',
]);

/**
 * The settings of each session: those that are applied once it is open, and those that leave with its start.
 * Behind a pooler that hands a session on, the first kind would reach other clients.
 */
function sessionSettings(
  options: AsyncEngineOptions,
): Pick<ResolvedEngineOptions, 'settings' | 'startupSettings'> {
  const { applicationName, statementTimeout, lockTimeout, idleInTransactionTimeout } = options;
  const settings: Record<string, string> = { ...options.settings };
  if (applicationName !== undefined) settings['application_name'] = applicationName;
  if (statementTimeout !== undefined) settings['statement_timeout'] = String(statementTimeout);
  if (lockTimeout !== undefined) settings['lock_timeout'] = String(lockTimeout);
  if (idleInTransactionTimeout !== undefined) {
    settings['idle_in_transaction_session_timeout'] = String(idleInTransactionTimeout);
  }
  if (options.pgbouncer !== true) return { settings, startupSettings: {} };
  const names = Object.keys(settings).filter((name) => !TRACKED.has(name.toLowerCase()));
  if (names.length === 0) return { settings: {}, startupSettings: settings };
  throw new ArgumentError(
    `pgbouncer hands one session to many clients, so ${names.join(', ')} would reach others. ` +
      `Set them per transaction: executionOptions: { settings } or transaction options.`,
  );
}
