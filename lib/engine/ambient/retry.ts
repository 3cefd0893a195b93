import { setTimeout as wait } from 'node:timers/promises';
import { AfterCommitError, ArgumentError } from '../errors/errors.js';
import { sqlStateOf } from '../errors/sqlstate.js';

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

/** @throws ArgumentError when the number of retries is no whole number from 0. */
export function checkRetries({ retries }: RetryOptions): void {
  if (Number.isInteger(retries) && retries >= 0) return;
  throw new ArgumentError(`retry is ${String(retries)}: it takes a whole number of retries, 0 or more.`);
}

/** Decides after each failure whether the transaction is run again, and when. */
export class RetryPolicy {
  readonly #options: RetryOptions;

  /** @throws ArgumentError when the number of retries is no whole number from 0. */
  constructor(retry: number | RetryOptions | undefined) {
    this.#options = typeof retry === 'object' ? retry : { retries: retry ?? 0 };
    checkRetries(this.#options);
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
