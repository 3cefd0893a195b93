import { expectArgument } from '../util/argument.js';
import { setTimeout as wait } from 'node:timers/promises';
import {
  CommitLostError,
  CommitOutcomeUnknownError,
  AfterCommitError,
  DBAPIError,
} from '../errors/errors.js';
import { ConnectError } from '../errors/server-errors.js';
import { sqlStateOf } from '../errors/sqlstate.js';
import {
  functionRule,
  integerRule,
  isPlainObject,
  synchronousRule,
  timeRule,
  type OptionRule,
} from '../util/option-rule.js';
import { OptionTable } from '../util/option-table.js';

/** When a root transaction is run again. Times in ms. */
export interface RetryOptions {
  /** How often it is run again after its first failure. */
  readonly retries: number;
  /** The longest wait before the first retry; it doubles with each. Default 50. */
  readonly baseDelay?: number;
  /** No wait is longer. Default 2000. */
  readonly maxDelay?: number;
  /** Which failures are worth it; asked of the error, then of its causes. Default: {@link isRetryable}. */
  readonly retryOn?: (error: unknown) => boolean;
  /** Called before each retry. */
  readonly onRetry?: (error: unknown, attempt: number) => void;
}

/** The last two are Aurora DSQL's for 40001. */
const RETRYABLE = new Set(['40001', '40P01', 'OC000', 'OC001']);
/** A statement prepared before a migration: in the next run it is prepared anew. */
const STALE_PLAN = 'cached plan must not change result type';
/** A type or a function that it was parsed against is gone. */
const STALE_NAME = 'cache lookup failed for';
/** Deeper chains of causes are not looked through. */
const MOST_CAUSES = 10;

/**
 * Whether the transaction may succeed when it is run again: 40001 (serialization), 40P01 (deadlock), a
 * prepared statement that a migration made invalid, a `CommitLostError`. An error that wraps such a one
 * counts as well: the statement's error may have been caught, so that the COMMIT failed.
 */
export function isRetryable(error: unknown): boolean {
  return withCauses(error).some((each) => {
    if (each instanceof CommitLostError) return true;
    const state = sqlStateOf(each);
    if (state === '0A000') return String(each).includes(STALE_PLAN);
    if (state === 'XX000') return String(each).includes(STALE_NAME);
    return state !== undefined && RETRYABLE.has(state);
  });
}

/** A server that ends, starts, or takes no more connections. */
const UNAVAILABLE = new Set(['57P01', '57P02', '57P03', '53300', '53400']);
/** A wrong password, user or database: another attempt finds the same. */
const REFUSED = /^(28|3D)/;

/**
 * Whether a transaction may succeed a little later, on this server or on the one that takes over: all of
 * `isRetryable`, a connection that was lost before COMMIT or could not be opened, a server that ends, starts,
 * is full, or has become read-only. Never where the transaction may be stored. Of a statement outside of
 * transactions a lost connection says nothing: it may have been stored.
 *
 * @example
 * ```ts
 * import { isTransient } from 'nest-async-engine';
 *
 * const retry = { retries: 5, retryOn: isTransient };
 * await engine.transaction(() => engine.execute(sql`UPDATE items SET price = price + 1`), { retry });
 * ```
 */
export function isTransient(error: unknown): boolean {
  if (mayBeStored(error)) return false;
  return isRetryable(error) || withCauses(error).some(isUnavailable);
}

function isUnavailable(error: unknown): boolean {
  if (!(error instanceof DBAPIError)) return false;
  const { sqlState = '' } = error;
  if (error.connectionInvalidated || UNAVAILABLE.has(sqlState)) return true;
  return error instanceof ConnectError && !REFUSED.test(sqlState);
}

function withCauses(error: unknown): unknown[] {
  const chain: unknown[] = [];
  let each = error;
  while (each !== undefined && each !== null && chain.length < MOST_CAUSES) {
    chain.push(each);
    each = (each as { cause?: unknown }).cause;
  }
  return chain;
}

/** What is stored, or may be, would be done twice. */
function mayBeStored(error: unknown): boolean {
  return withCauses(error).some(
    (each) => each instanceof AfterCommitError || each instanceof CommitOutcomeUnknownError,
  );
}

const BASE_DELAY = 50;
const MAX_DELAY = 2_000;

const RETRIES = integerRule(0, 'a whole number of retries, 0 or more');

/** What each option of `retry` may be. */
const RETRY_OPTIONS = new OptionTable<RetryOptions>(
  'retry',
  {
    retries: RETRIES,
    baseDelay: timeRule,
    maxDelay: timeRule,
    retryOn: synchronousRule,
    onRetry: functionRule,
  },
  'refused',
);

/** A number of retries, or all that can be said of them. */
export const retryRule: OptionRule & { parse(value: unknown): unknown } = {
  expected: `${RETRIES.expected}, or { retries: … }`,
  accepts: (value) => (typeof value === 'number' ? RETRIES.accepts(value) : isPlainObject(value)),
  coerce: RETRIES.coerce,
  parse: (value) => {
    if (typeof value === 'number') return value;
    const options = RETRY_OPTIONS.parse(value);
    if (options.retries === undefined) RETRY_OPTIONS.parseOption('retries', undefined);
    return options;
  },
};

/** The options of a number of retries, or those that were given. */
function retryOptionsOf(retry: number | RetryOptions): RetryOptions {
  expectArgument('retry', retryRule, retry);
  const options = retryRule.parse(retry) as number | RetryOptions;
  return typeof options === 'number' ? { retries: options } : options;
}

/** Decides after each failure whether the transaction is run again, and when. */
export class RetryPolicy {
  readonly #options: RetryOptions;

  /** @throws ArgumentError for a wrong option. */
  constructor(retry: number | RetryOptions | undefined) {
    this.#options = retryOptionsOf(retry === undefined ? 0 : retry);
  }

  /**
   * Milliseconds until the next run after `attempt` runs have failed, the last with `error`; undefined: it is
   * final.
   */
  delayAfter(error: unknown, attempt: number): number | undefined {
    const {
      retries,
      baseDelay = BASE_DELAY,
      maxDelay = MAX_DELAY,
      retryOn = isRetryable,
      onRetry,
    } = this.#options;
    if (attempt > retries || mayBeStored(error)) return undefined;
    try {
      if (!withCauses(error).some((each) => retryOn(each))) return undefined;
      onRetry?.(error, attempt);
    } catch {
      // The work's own error is the one that is thrown.
      return undefined;
    }
    // Full jitter: transactions that collided must not collide again in step.
    return Math.random() * Math.min(maxDelay, baseDelay * 2 ** (attempt - 1));
  }
}

/**
 * Runs `work` until it succeeds or fails for good; then the last error is thrown. `mayRepeat` is asked after
 * a failure: only the call that began the whole may run it again.
 */
export async function withRetry<T>(
  work: () => Promise<T>,
  retry: number | RetryOptions | undefined,
  mayRepeat: () => boolean,
): Promise<T> {
  const policy = new RetryPolicy(retry);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      const delay = mayRepeat() ? policy.delayAfter(error, attempt) : undefined;
      if (delay === undefined) throw error;
      await wait(delay);
    }
  }
}
