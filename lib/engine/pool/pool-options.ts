import { ArgumentError } from '../errors/errors.js';
import {
  asItIs,
  coerceNumber,
  describeValue,
  durationRule,
  flagRule,
  integerRule,
  LONGEST_TIMER,
} from '../util/option-rule.js';
import { CONSOLE_LOGGER, isLogger } from '../util/logger.js';
import type { EngineLogger } from '../util/logger.js';
import type { OptionRule } from '../util/option-rule.js';

/** What happens to a transaction that is still open when its connection comes back. */
export type ResetOnReturn = 'rollback' | 'commit' | null;

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
  /** A connection older than this (ms) is replaced at its checkout. Default -1: never. */
  readonly poolRecycle?: number | undefined;
  /** Asks the server for a sign of life at each checkout, one round trip. Default false. */
  readonly poolPrePing?: boolean | undefined;
  /** Lends the connection that came back last, so that the others can go idle. Default false. */
  readonly poolUseLifo?: boolean | undefined;
  /** Idle connections that `poolIdleTimeout` leaves open; at most `poolSize`. Default 0. */
  readonly poolMinIdle?: number | undefined;
  /** Closes connections that have been idle for so long (ms). Default: off. */
  readonly poolIdleTimeout?: number | undefined;
  /**
   * Ends a transaction that was left open. Nothing is sent when the server is idle. Default `'rollback'`;
   * with `null` nothing is ever sent and a connection that comes back inside a transaction is dropped.
   */
  readonly poolResetOnReturn?: ResetOnReturn | undefined;
  /**
   * Looks for leaks: a connection that is on loan for so long (ms), and one that was garbage-collected
   * without being returned, is a warning with the stack of its checkout; the place of the second one is
   * freed. 0: only the second ones. Costs some microseconds for each checkout. Default: off.
   */
  readonly poolLeakThreshold?: number | undefined;
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
  readonly logger: EngineLogger;
}

/** What each option takes. */
export const poolOptionRules: Readonly<Record<keyof ResolvedPoolOptions, OptionRule>> = {
  poolSize: integerRule(0, 'an integer of at least 0 (0: no limit)'),
  maxOverflow: integerRule(-1, 'an integer of at least -1 (-1: no limit)'),
  poolTimeout: durationRule(0, `milliseconds from 0 to ${LONGEST_TIMER}`),
  poolRecycle: {
    takes: 'milliseconds of at least 0, or -1 (never)',
    accepts: (value) => value === -1 || (typeof value === 'number' && value >= 0),
    coerce: coerceNumber,
  },
  poolPrePing: flagRule,
  poolUseLifo: flagRule,
  poolMinIdle: integerRule(0, 'an integer of at least 0'),
  poolIdleTimeout: durationRule(1, `milliseconds from 1 to ${LONGEST_TIMER}, or undefined (off)`),
  poolResetOnReturn: {
    takes: "'rollback', 'commit' or null",
    accepts: (value) => value === 'rollback' || value === 'commit' || value === null,
    coerce: (text) => {
      const word = text.trim().toLowerCase();
      return word === 'none' ? null : word;
    },
  },
  poolLeakThreshold: durationRule(0, `milliseconds from 0 to ${LONGEST_TIMER}, or undefined (off)`),
  logger: { takes: 'an object with log, warn and error', accepts: isLogger, coerce: asItIs },
};

/** The names of the pool's options, for whoever picks them out of a larger object. */
export const poolOptionNames = Object.keys(poolOptionRules) as readonly (keyof ResolvedPoolOptions)[];

const defaults: ResolvedPoolOptions = {
  poolSize: 5,
  maxOverflow: 10,
  poolTimeout: 30_000,
  poolRecycle: -1,
  poolPrePing: false,
  poolUseLifo: false,
  poolMinIdle: 0,
  poolIdleTimeout: undefined,
  poolResetOnReturn: 'rollback',
  poolLeakThreshold: undefined,
  logger: CONSOLE_LOGGER,
};

function isOptionName(name: string): name is keyof ResolvedPoolOptions {
  return Object.hasOwn(poolOptionRules, name);
}

/**
 * Fills in the defaults; `undefined` counts as not given.
 *
 * @throws ArgumentError for an unknown option, a wrong type or a value out of range.
 */
export function resolvePoolOptions(options: PoolOptions = {}): ResolvedPoolOptions {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  for (const [name, value] of given) {
    if (!isOptionName(name)) {
      throw new ArgumentError(`unknown pool option '${name}'; a pool takes ${poolOptionNames.join(', ')}`);
    }
    const rule = poolOptionRules[name];
    if (!rule.accepts(value)) {
      throw new ArgumentError(`pool option '${name}' got ${describeValue(value)}; it takes ${rule.takes}`);
    }
  }
  const resolved: ResolvedPoolOptions = { ...defaults, ...Object.fromEntries(given) };
  if (resolved.poolSize > 0 && resolved.poolMinIdle > resolved.poolSize) {
    throw new ArgumentError(
      `pool option 'poolMinIdle' got ${resolved.poolMinIdle}; it takes at most poolSize, which is ${resolved.poolSize}`,
    );
  }
  return Object.freeze(resolved);
}
