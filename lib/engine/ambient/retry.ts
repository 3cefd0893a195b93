import { setTimeout as wait } from 'node:timers/promises';
import { AfterCommitError } from '../errors/errors.js';
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
  /** Which failures are worth it. Default: 40001 (serialization) and 40P01 (deadlock). */
  readonly retryOn?: (error: unknown) => boolean;
  /** Called before each retry. */
  readonly onRetry?: (error: unknown, attempt: number) => void;
}

const RETRYABLE = new Set(['40001', '40P01']);

/**
 * Whether PostgreSQL means that the transaction may succeed when it is run again: 40001 (serialization) and
 * 40P01 (deadlock).
 */
export function isRetryable(error: unknown): boolean {
  const state = sqlStateOf(error);
  return state !== undefined && RETRYABLE.has(state);
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
export const retryRule: OptionRule = {
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

/** Decides after each failure whether the transaction is run again, and when. */
export class RetryPolicy {
  readonly #options: RetryOptions;

  /** The options are checked where they entered. */
  constructor(retry: number | RetryOptions | undefined) {
    this.#options = typeof retry === 'object' ? retry : { retries: retry ?? 0 };
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
    // What is committed would be done twice.
    if (attempt > retries || error instanceof AfterCommitError || !retryOn(error)) return undefined;
    onRetry?.(error, attempt);
    // Full jitter: whoever collided does not collide again in step.
    return Math.random() * Math.min(maxDelay, baseDelay * 2 ** (attempt - 1));
  }
}

/**
 * Runs `work` until it succeeds or fails for good; then the last error is thrown. `mayRepeat` is asked after
 * a failure: only whoever began the whole may run it again.
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
