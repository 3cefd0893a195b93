import { setImmediate } from 'node:timers';
import { Subject, takeUntil, type Observable, type Subscriber } from 'rxjs';
import { onAbort } from '../engine/util/on-abort.js';
import { type AsyncEngine, UnsubscribedError, type OpenTransaction, type Scope } from '../engine/index.js';

type SubscriptionState = 'running' | 'settling' | 'stopped';

/**
 * One subscription and its transaction, from the first value to COMMIT or ROLLBACK. It holds all that it
 * needs itself: a teardown may run in an empty async context.
 *
 * The newest value waits for the next one, the end of the turn or the end of the source: the only value of a
 * source is then stored before a consumer that wants no more of them sees it.
 */
export class TransactionSubscription<T> {
  readonly #engine: AsyncEngine;
  readonly #open: OpenTransaction;
  readonly #subscriber: Subscriber<T>;
  readonly #inCaller: <Result>(work: () => Result) => Result;
  readonly #stopped = new Subject<void>();
  /** True: every statement on the transaction's connection is the transaction's. */
  readonly #ownsConnection: boolean;
  #state: SubscriptionState = 'running';
  #hasEmitted = false;
  #held: readonly T[] = [];
  #turn: 'running' | 'over' = 'over';
  #forgetDeadline: (() => void) | undefined;

  constructor(
    engine: AsyncEngine,
    open: OpenTransaction,
    scope: Scope | undefined,
    subscriber: Subscriber<T>,
    inCaller: <Result>(work: () => Result) => Result,
  ) {
    this.#engine = engine;
    this.#open = open;
    this.#subscriber = subscriber;
    this.#inCaller = inCaller;
    const isShared = scope?.hasConnection === true && scope.connection === open.transaction?.connection;
    this.#ownsConnection = open.isRoot && !isShared;
  }

  start(source: Observable<T>): void {
    const deadline = this.#open.transaction?.deadline;
    if (deadline !== undefined) this.#forgetDeadline = onAbort(deadline, () => this.#expire(deadline.reason));
    if (deadline?.aborted === true) return this.#expire(deadline.reason);
    this.#open.run(() =>
      // Not by the subscription: a source that emits while it is subscribed to has not given one yet.
      source.pipe(takeUntil(this.#stopped)).subscribe({
        next: (value) => this.#hold(value),
        error: (error: unknown) => this.#end(() => this.#fail(error)),
        complete: () => this.#end(() => this.#complete()),
      }),
    );
  }

  /** Rolls back, unless the source has ended: then COMMIT or ROLLBACK is on its way already. */
  stop(): void {
    if (this.#state !== 'running') return;
    this.#state = 'stopped';
    this.#forgetDeadline?.();
    this.#stopped.next();
    this.#warnOfLostWork();
    const why = new UnsubscribedError('the Observable was unsubscribed before its end.');
    this.#inCaller(() => {
      if (this.#ownsConnection) this.#open.transaction?.connection.cancel().catch(() => undefined);
      // The subscriber has gone: where the rollback fails, the engine reports it and drops the connection.
      this.#open.rollback(why).catch(() => undefined);
    });
  }

  // The values said that something was done.
  #warnOfLostWork(): void {
    const { transaction } = this.#open;
    if (!this.#hasEmitted || transaction?.hasWritten !== true) return;
    this.#engine.ambient.warnOnce(
      transaction.origin,
      'its Observable was unsubscribed from after it had emitted, so that what it wrote is rolled back. ' +
        'Let it complete, or put take() and first() upstream of the transaction.',
    );
  }

  #hold(value: T): void {
    this.#deliver();
    this.#held = [value];
    if (this.#turn === 'running') return;
    this.#turn = 'running';
    setImmediate(() => {
      this.#turn = 'over';
      if (this.#state === 'running') this.#deliver();
    });
  }

  #deliver(): void {
    const held = this.#held;
    this.#held = [];
    if (held.length > 0) this.#hasEmitted = true;
    for (const value of held) this.#inCaller(() => this.#subscriber.next(value));
  }

  #end(settle: () => Promise<void>): void {
    if (this.#state !== 'running') return;
    this.#state = 'settling';
    this.#forgetDeadline?.();
    void this.#inCaller(settle);
  }

  /** The transaction's time has passed: an error, as soon as all is undone, whatever the source waits for. */
  #expire(reason: unknown): void {
    this.#end(async () => {
      this.#stopped.next();
      await this.#open.rollback(reason);
      this.#subscriber.error(reason);
    });
  }

  async #complete(): Promise<void> {
    try {
      await this.#open.commit();
    } catch (failure) {
      return this.#report(failure);
    }
    this.#deliver();
    this.#subscriber.complete();
  }

  async #fail(error: unknown): Promise<void> {
    try {
      await this.#open.fail(error);
    } catch (failure) {
      // `noRollbackFor` asked for a COMMIT, and that is what failed.
      return this.#report(failure);
    }
    // A value that was held back stands for work that is undone, unless `noRollbackFor` has kept it.
    const { transaction } = this.#open;
    if (transaction === undefined || transaction.state === 'committed') this.#deliver();
    this.#subscriber.error(error);
  }

  /** The subscriber may have gone while the COMMIT was under way: then the failure must not be lost. */
  #report(failure: unknown): void {
    if (this.#subscriber.closed) this.#open.transaction?.host.engine.report(failure);
    this.#subscriber.error(failure);
  }
}
