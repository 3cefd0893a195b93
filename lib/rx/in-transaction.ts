import { AsyncLocalStorage } from 'node:async_hooks';
import { defer, Observable, retry, tap, throwError, timer, type MonoTypeOperatorFunction } from 'rxjs';
import {
  ArgumentError,
  type AsyncEngine,
  isRetryable,
  type RetryOptions,
  type TransactionalOptions,
} from '../engine/index.js';
import { TransactionSubscription } from './transaction-subscription.js';

const BASE_DELAY = 50;
const MAX_DELAY = 2_000;

/**
 * Runs every subscription to the source in a transaction of its own, which is ambient for what is upstream of this operator.
 *
 * Nothing is sent before the first statement. Values pass through at once, before they are committed. When the source completes,
 * COMMIT comes first and then `complete`; a COMMIT that fails is the error of the Observable. When it fails, ROLLBACK comes first
 * and then the error. Unsubscribing before the end rolls back and cancels the statement under way, so that `take(1)` belongs
 * upstream of this operator. What is downstream runs in the async context of the subscriber, outside of the transaction.
 *
 * `retry` subscribes to the source again, only where this operator began the transaction and as long as nothing was emitted.
 *
 * @throws ArgumentError when `retry` is no whole number from 0.
 */
export function inTransaction<T>(
  engine: AsyncEngine,
  options: TransactionalOptions = {},
): MonoTypeOperatorFunction<T> {
  const policy = retryPolicy(options.retry);
  return (source) =>
    defer(() => {
      const inCaller = AsyncLocalStorage.snapshot();
      let mayRepeat = false;
      const attempt = new Observable<T>((subscriber) => {
        const open = inCaller(() => engine.openTransaction(options));
        mayRepeat = open.isRoot;
        const scope = inCaller(() => engine.currentScope());
        const subscription = new TransactionSubscription(open, scope, subscriber, inCaller);
        subscriber.add(() => subscription.stop());
        subscription.start(source);
      });
      if (policy === undefined) return attempt;
      return attempt.pipe(
        tap(() => {
          mayRepeat = false;
        }),
        repeatAfterFailure(policy, () => mayRepeat),
      );
    });
}

function retryPolicy(given: number | RetryOptions | undefined): RetryOptions | undefined {
  const policy = typeof given === 'number' ? { retries: given } : given;
  if (policy === undefined || (Number.isInteger(policy.retries) && policy.retries >= 0)) return policy;
  throw new ArgumentError(
    `retry is ${String(policy.retries)}: it takes a whole number of retries, 0 or more.`,
  );
}

function repeatAfterFailure<T>(policy: RetryOptions, mayRepeat: () => boolean): MonoTypeOperatorFunction<T> {
  const { retries, baseDelay = BASE_DELAY, maxDelay = MAX_DELAY, retryOn = isRetryable, onRetry } = policy;
  return retry({
    count: retries,
    delay: (error: unknown, attempts) => {
      if (!mayRepeat() || !retryOn(error)) return throwError(() => error);
      onRetry?.(error, attempts);
      // Full jitter: whoever collided does not collide again in step.
      return timer(Math.random() * Math.min(maxDelay, baseDelay * 2 ** (attempts - 1)));
    },
  });
}
