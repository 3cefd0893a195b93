import type { Driver } from '../driver/driver.js';
import { ArgumentError } from '../errors/errors.js';
import { CONSOLE_LOGGER, GuardedLogger, isLogger, type EngineLogger } from '../util/logger.js';
import {
  asItIs,
  coerceNumber,
  deadlineRule,
  durationRule,
  flagRule,
  integerRule,
  LONGEST_TIMER,
  oneOf,
  type OptionRule,
} from '../util/option-rule.js';
import { mergeOptions } from '../util/merge-options.js';
import { OptionTable } from '../util/option-table.js';

/**
 * What happens when a connection comes back: `session` rolls back and undoes what was changed in the session;
 * `rollback` and `commit` only end an open transaction; `null` sends nothing.
 */
export type ResetOnReturn = 'session' | 'rollback' | 'commit' | null;

/** How a pool keeps its connections. Times are milliseconds. */
export interface PoolOptions {
  /**
   * Idle connections that are kept; nothing is opened ahead of demand. Default 5 (PGlite: 1); 0: no limit at
   * all.
   */
  readonly poolSize?: number | undefined;
  /** Connections above `poolSize` that may exist at once. Default 10 (PGlite: 0); -1: no limit. */
  readonly maxOverflow?: number | undefined;
  /**
   * How long `connect()` waits (ms), the opening of a connection included. Default 30,000; 0: fail at once
   * when the pool is full.
   */
  readonly poolTimeout?: number | undefined;
  /**
   * A connection older than this (ms), or up to a quarter less so that not all end at once, is replaced at
   * its checkout. Default -1: never.
   */
  readonly poolRecycle?: number | undefined;
  /**
   * Asks the server for a sign of life at each checkout, one round trip, unless the session is known to have
   * answered in the last 500 ms. Default false.
   */
  readonly poolPrePing?: boolean | undefined;
  /** Lends the connection that came back last, so that the others can go idle. Default false. */
  readonly poolUseLifo?: boolean | undefined;
  /** Idle connections that `poolIdleTimeout` leaves open; at most `poolSize`. Default 0. */
  readonly poolMinIdle?: number | undefined;
  /** Closes connections that have been idle for so long (ms). Default: off. */
  readonly poolIdleTimeout?: number | undefined;
  /**
   * How a connection that comes back is made ready for the next borrower; a clean one costs nothing. Default
   * `'session'`: an open transaction is rolled back, and what was seen to change in the session is undone in
   * the same flight: SET, SET ROLE, `set_config`, LISTEN, PREPARE, temporary tables, advisory locks; the
   * engine's `settings` are applied again. `'rollback'` (default with `pgbouncer`) and `'commit'` only end
   * the transaction. With `null` nothing is ever sent, and a connection inside a transaction is dropped.
   */
  readonly poolResetOnReturn?: ResetOnReturn | undefined;
  /**
   * Looks for leaks: a connection that is on loan for so long (ms), and one that was garbage-collected
   * without being returned, is a warning with the stack of its checkout; the place of the second one is
   * freed. 0: only the second ones. Costs some microseconds for each checkout. Default: off.
   */
  readonly poolLeakThreshold?: number | undefined;
  /**
   * Callers that may wait for a connection at once; more are refused with `PoolOverloadError`. Default: 50
   * for each connection that a `QueuePool` may have (`poolSize + maxOverflow`).
   */
  readonly poolMaxWaiting?: number | undefined;
  /**
   * Turns overload control on (CoDel): when each checkout of a `poolQueueInterval` has waited longer than so
   * many ms, callers that have waited twice as long are refused with `PoolOverloadError`, and the newest are
   * served first until the line is shorter. Default: off, or 50 with a `poolQueueInterval`.
   */
  readonly poolQueueTarget?: number | undefined;
  /** How long the shortest wait is looked for, in ms. Default 2,000. */
  readonly poolQueueInterval?: number | undefined;
  /** Where warnings go. Default: the console. */
  readonly logger?: EngineLogger | undefined;
}

/** The options of a pool with their defaults; see {@link PoolOptions}. */
export interface ResolvedPoolOptions {
  readonly poolSize: number;
  readonly maxOverflow: number;
  readonly poolTimeout: number;
  readonly poolRecycle: number;
  readonly poolPrePing: boolean;
  readonly poolUseLifo: boolean;
  readonly poolMinIdle: number;
  readonly poolIdleTimeout: number | undefined;
  readonly poolResetOnReturn: ResetOnReturn;
  readonly poolLeakThreshold: number | undefined;
  readonly poolMaxWaiting: number | undefined;
  /** Undefined: off. */
  readonly poolQueueTarget: number | undefined;
  readonly poolQueueInterval: number | undefined;
  readonly logger: EngineLogger;
}

/** What each option of a pool may be. */
export const POOL_OPTIONS = new OptionTable<ResolvedPoolOptions>(
  'pool',
  {
    poolSize: integerRule(0, 'an integer of at least 0 (0: no limit)'),
    maxOverflow: integerRule(-1, 'an integer of at least -1 (-1: no limit)'),
    poolTimeout: deadlineRule,
    poolRecycle: {
      expected: 'milliseconds of at least 0, or -1 (never)',
      accepts: (value) => value === -1 || (typeof value === 'number' && value >= 0),
      coerce: coerceNumber,
    },
    poolPrePing: flagRule,
    poolUseLifo: flagRule,
    poolMinIdle: integerRule(0, 'an integer of at least 0'),
    poolIdleTimeout: durationRule(1, `milliseconds from 1 to ${LONGEST_TIMER}, or undefined (off)`),
    poolResetOnReturn: oneOf('session', 'rollback', 'commit', null),
    poolLeakThreshold: durationRule(0, `milliseconds from 0 to ${LONGEST_TIMER}, or undefined (off)`),
    poolMaxWaiting: integerRule(0, 'an integer of at least 0'),
    poolQueueTarget: durationRule(1, `milliseconds from 1 to ${LONGEST_TIMER}, or undefined (off)`),
    poolQueueInterval: durationRule(1, `milliseconds from 1 to ${LONGEST_TIMER}`),
    logger: {
      expected: 'an object with log, warn and error',
      accepts: isLogger,
      coerce: asItIs,
      parse: (logger) => GuardedLogger.around(logger as EngineLogger),
    },
  },
  'refused',
);

/** The names of the pool's options, to pick them out of a larger object. */
export const poolOptionNames = POOL_OPTIONS.names as readonly (keyof ResolvedPoolOptions)[];

const defaults: ResolvedPoolOptions = {
  poolSize: 5,
  maxOverflow: 10,
  poolTimeout: 30_000,
  poolRecycle: -1,
  poolPrePing: false,
  poolUseLifo: false,
  poolMinIdle: 0,
  poolIdleTimeout: undefined,
  poolResetOnReturn: 'session',
  poolLeakThreshold: undefined,
  poolMaxWaiting: undefined,
  poolQueueTarget: undefined,
  poolQueueInterval: undefined,
  logger: CONSOLE_LOGGER,
};

/**
 * Fills in the defaults; `undefined` counts as not given.
 *
 * @throws ArgumentError for an unknown option, a wrong type or a value out of range.
 */
export function resolvePoolOptions(options: PoolOptions = {}): ResolvedPoolOptions {
  const given = POOL_OPTIONS.parse(options);
  const poolQueueTarget = given.poolQueueInterval === undefined ? undefined : 50;
  const resolved = mergeOptions<ResolvedPoolOptions>({ ...defaults, poolQueueTarget }, given);
  if (resolved.poolSize > 0 && resolved.poolMinIdle > resolved.poolSize) {
    throw new ArgumentError(
      `pool option 'poolMinIdle' must be at most poolSize, which is ${resolved.poolSize}; got ${resolved.poolMinIdle}.`,
    );
  }
  return Object.freeze(resolved);
}

/** What a pool lends sessions of. */
export const driverRule: OptionRule = {
  expected: 'a driver, such as createDriver(url) makes',
  accepts: (value) => typeof (value as Partial<Driver> | null | undefined)?.facts === 'object',
  coerce: asItIs,
};
