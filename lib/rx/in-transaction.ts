import { AsyncLocalStorage } from 'node:async_hooks';
import { defer, Observable, retry, tap, throwError, timer, type MonoTypeOperatorFunction } from 'rxjs';
import {
  type AsyncEngine,
  type OpenTransaction,
  RetryPolicy,
  type TransactionalOptions,
} from '../engine/index.js';
import { expectArgument } from '../engine/util/argument.js';
import { engineRule } from './source-rules.js';
import { TransactionSubscription } from './transaction-subscription.js';

/**
 * Runs every subscription to the source in a transaction of its own, which is ambient for what is upstream of
 * this operator.
 *
 * Nothing is sent before the first statement. The newest value is held back until the next one, the end of
 * the turn of the event loop, or the end of the source. When the source completes, COMMIT comes first,
 * then what is held back and `complete`: so `first()`, `take(1)` and `firstValueFrom()` store what a
 * source of one value has done. A COMMIT that fails is the error of the Observable. When the source fails,
 * ROLLBACK comes first and then the error. Unsubscribing before the end rolls back and cancels the
 * statement under way, so that a `take()` of a longer source belongs upstream of this operator; where it
 * undoes writes after a value was emitted, a warning says so once for each label. What is downstream runs
 * in the async context of the subscriber, outside of the transaction.
 *
 * `retry` subscribes to the source again, only where this operator began the transaction and as long as
 * nothing was emitted.
 *
 * @throws ArgumentError when `retry` is not a whole number from 0.
 * @example
 * ```ts
 * orders.pipe(concatMap((order) => store(order)), inTransaction(engine)).subscribe();
 * ```
 */
export function inTransaction<T>(
  engine: AsyncEngine,
  options: TransactionalOptions = {},
): MonoTypeOperatorFunction<T> {
  expectArgument('inTransaction()', engineRule, engine);
  const policy = new RetryPolicy(engine.transactionalOptions(options).retry);
  return (source) =>
    defer(() => {
      const inCaller = AsyncLocalStorage.snapshot();
      let mayRepeat = false;
      let before: OpenTransaction | undefined;
      const attempt = new Observable<T>((subscriber) => {
        const open = inCaller(() => engine.openTransaction(options));
        mayRepeat = open.isRoot;
        if (before !== undefined) open.repeats(before);
        before = open;
        const scope = inCaller(() => engine.currentScope());
        const subscription = new TransactionSubscription(engine, open, scope, subscriber, inCaller);
        subscriber.add(() => subscription.stop());
        subscription.start(source);
      });
      return attempt.pipe(
        tap(() => {
          mayRepeat = false;
        }),
        repeatAfterFailure(policy, () => mayRepeat),
      );
    });
}

function repeatAfterFailure<T>(policy: RetryPolicy, mayRepeat: () => boolean): MonoTypeOperatorFunction<T> {
  return retry({
    delay: (error: unknown, attempt) => {
      const delay = mayRepeat() ? policy.delayAfter(error, attempt) : undefined;
      return delay === undefined ? throwError(() => error) : timer(delay);
    },
  });
}
