import { setTimeout as wait } from 'node:timers/promises';
import { ArgumentError } from './errors.js';
import { sqlStateOf } from './sqlstate.js';

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

export function isRetryable(error: unknown): boolean {
  const state = sqlStateOf(error);
  return state !== undefined && RETRYABLE.has(state);
}

/** Runs `work` until it succeeds, fails for good, or `retries` are used up; then the last error is thrown. */
export async function withRetry<T>(
  work: () => Promise<T>,
  retry: number | RetryOptions | undefined,
): Promise<T> {
  const options = typeof retry === 'number' ? { retries: retry } : retry;
  if (options === undefined) return await work();
  const { retries, baseDelay = 50, maxDelay = 2_000, retryOn = isRetryable, onRetry } = options;
  if (!Number.isInteger(retries) || retries < 0) {
    throw new ArgumentError(`retry is ${String(retries)}: it takes a whole number of retries, 0 or more.`);
  }
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt > retries || !retryOn(error)) throw error;
      onRetry?.(error, attempt);
      // Full jitter: whoever collided does not collide again in step.
      await wait(Math.random() * Math.min(maxDelay, baseDelay * 2 ** (attempt - 1)));
    }
  }
}
