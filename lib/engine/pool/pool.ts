import { AsyncLocalStorage } from 'node:async_hooks';
import type { Driver } from '../driver/driver.js';
import { CallSite } from '../util/call-site.js';
import { OperationalError, PoolTimeoutError, ResourceClosedError } from '../errors/errors.js';
import { ConnectionRecord } from './connection-record.js';
import { LeakDetector } from './leak-detector.js';
import type { Loans } from './leak-detector.js';
import { ListeningPool } from './listening-pool.js';
import { resolvePoolOptions, type PoolOptions, type ResolvedPoolOptions } from './pool-options.js';
import { PooledConnection } from './pooled-connection.js';
import type { Lender } from './pooled-connection.js';
import type { SessionViews } from './session-views.js';
import type { CheckoutOptions, Waiter } from './waiter.js';

/**
 * What every pool can do. Opens nothing before the first checkout.
 *
 * Open connections keep the process alive, as those of `pg` do, idle ones too: a script ends after
 * `dispose()` (an engine's `aclose()`), or when `poolIdleTimeout` has closed the last. Timers of the pool
 * never do.
 */
export abstract class Pool extends ListeningPool implements AsyncDisposable {
  /** What holds for this pool, defaults included. */
  readonly options: ResolvedPoolOptions;
  protected readonly driver: Driver;
  /** What stands in front of the sessions that are lent; the engine hands it from pool to pool. @internal */
  views: SessionViews | undefined;
  readonly #lender: Lender = {
    viewOf: (session) => (this.views === undefined ? session : this.views.of(session)),
    takeBack: (loan, record) => {
      this.#endLoan(loan);
      return this.observer.isObserved ? this.#takeBackWatched(loan, record) : this.takeBack(loan, record);
    },
    discard: (loan, record) => {
      this.#endLoan(loan);
      this.discard(loan, record);
      if (this.observer.isObserved) this.observer.checkedIn(record, false);
    },
    release: (loan, record) => {
      this.#endLoan(loan);
      this.release(loan, record);
      if (this.observer.isObserved) this.observer.detached(record);
    },
    invalidated: (record, cause, isSoft) => {
      if (this.observer.isObserved) this.observer.invalidated(record, cause, isSoft);
    },
  };
  readonly #loans: Loans;
  #onDrained: (() => void) | undefined;
  // A socket or timer that outlives its request must not hold on to the request's async context.
  readonly #outsideOfRequests = AsyncLocalStorage.snapshot();
  #generation = 0;
  #state: 'open' | 'disposed' = 'open';
  #disposal: Promise<void> | undefined;

  constructor(driver: Driver, options?: PoolOptions) {
    super();
    this.driver = driver;
    this.options = resolvePoolOptions(options);
    this.#loans = this.#watchOrSet();
  }

  /** The name that `status()` begins with. */
  abstract readonly name: string;

  /**
   * Lends a connection: an idle one, a new one, or the next that comes back.
   *
   * @throws PoolTimeoutError, PoolDeadlockError, ResourceClosedError after `dispose()`, the signal's reason,
   * or what opening a connection failed with.
   */
  abstract connect(options?: CheckoutOptions): Promise<PooledConnection>;

  /**
   * Lends an idle connection that is good as it is; undefined where `connect()` would have to wait for
   * anything.
   */
  abstract tryConnect(): PooledConnection | undefined;

  /** A pool of the same class and settings that has no connections; this one is left as it is. */
  abstract recreate(): Pool;

  /** How many connections are kept: `poolSize`. */
  abstract size(): number;
  /** How many connections are idle. */
  abstract checkedIn(): number;
  /** How many connections are on loan. */
  checkedOut(): number {
    return this.#loans.size;
  }

  /** How many connections exist above `poolSize`; negative while there are fewer. */
  abstract overflow(): number;
  /** How many callers wait for a connection. */
  abstract waiting(): number;

  /** The figures in one line. */
  status(): string {
    return (
      `${this.name}: size ${this.size()}, checked in ${this.checkedIn()}, checked out ${this.checkedOut()}, ` +
      `overflow ${this.overflow()}, waiting ${this.waiting()}`
    );
  }

  /**
   * Replaces every connection that exists now: idle ones at their next checkout, those on loan when they come
   * back. With a `witness` (the connection that was found dead) only if it belongs to the present generation,
   * so that the many errors of one outage count once.
   */
  invalidateAll(witness?: { readonly generation: number }): void {
    if (witness === undefined || witness.generation === this.#generation) this.#generation += 1;
  }

  /**
   * Ends the pool: refuses callers that wait and new ones, closes idle connections, and closes those on loan
   * when they come back. Resolves when the idle ones are closed. Idempotent, never rejects.
   */
  dispose(): Promise<void> {
    if (this.#state === 'open') {
      this.observer.log.info('dispose', `disposed: ${this.status()}`);
      this.#state = 'disposed';
      this.#disposal = this.shutDown();
    }
    return this.#disposal ?? Promise.resolve();
  }

  /**
   * Waits until nothing is on loan, at most `timeout` ms; what is on loan then is cancelled and its session
   * ended. Resolves to how many sessions were. Does not keep new checkouts from coming: whoever drains stops
   * them first.
   */
  async drain(timeout: number): Promise<number> {
    if (this.#loans.size > 0) {
      const drained = new Promise<void>((resolve) => {
        this.#onDrained = resolve;
      });
      const timer = setTimeout(() => this.#onDrained?.(), timeout);
      await drained;
      clearTimeout(timer);
    }
    const left = [...this.#loans];
    await Promise.all(left.map((loan) => loan.session.cancel().catch(() => undefined)));
    for (const loan of left) loan.invalidate();
    return left.length;
  }

  /** For `await using`: `dispose()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /**
   * Lends to whoever called just now; throws what a listener of `checkout` throws. `trace`: the stack of the
   * checkout, taken by `checkoutTrace()`.
   */
  protected lend(record: ConnectionRecord, trace?: string): PooledConnection {
    const loan = this.#register(record, trace);
    if (!this.observer.isObserved) return loan;
    try {
      this.observer.checkedOut(record, loan);
      return loan;
    } catch (error) {
      loan.invalidate(error);
      throw error;
    }
  }

  /** Lends to somebody who waits; what a listener of `checkout` throws is for him. */
  protected hand(record: ConnectionRecord, waiter: Waiter | undefined): void {
    if (waiter === undefined) return;
    const loan = this.#register(record, waiter.trace);
    try {
      if (this.observer.isObserved) this.observer.checkedOut(record, loan);
    } catch (error) {
      // First: what the invalidation frees is not for him.
      waiter.reject(error);
      loan.invalidate(error);
      return;
    }
    waiter.resolve(loan);
  }

  #register(record: ConnectionRecord, trace: string | undefined): PooledConnection {
    const loan = new PooledConnection(record, this.#lender);
    this.#loans.add(loan, record, trace);
    return loan;
  }

  /** False: others have this connection too, so that its return ends nothing. */
  protected isLastLoanOf(_record: ConnectionRecord): boolean {
    return true;
  }

  async #takeBackWatched(loan: PooledConnection, record: ConnectionRecord): Promise<void> {
    const mode = this.options.poolResetOnReturn;
    const isReset = mode !== null && record.session.isOpen && !record.isClean && this.isLastLoanOf(record);
    this.observer.resetting(record, isReset ? `${mode} on return` : 'nothing to reset on return');
    if (isReset) await record.reset(mode);
    this.observer.checkedIn(record, true);
    await this.takeBack(loan, record);
  }

  /** To be called in the checkout itself; undefined unless leaks are looked for. */
  protected checkoutTrace(): string | undefined {
    return this.options.poolLeakThreshold === undefined ? undefined : new CallSite().trace();
  }

  /** Ends a loan that was garbage-collected: the session may be in any state. */
  protected reclaim(loan: PooledConnection): void {
    loan.invalidate();
  }

  #watchOrSet(): Loans {
    const { poolLeakThreshold: threshold, logger } = this.options;
    if (threshold === undefined) return new Set();
    return new LeakDetector({
      threshold,
      logger,
      poolName: () => this.name,
      reclaim: (record) => this.reclaim(new PooledConnection(record, this.#lender)),
      outsideOfRequests: (work) => this.outsideOfRequests(work),
    });
  }

  protected isLent(loan: PooledConnection): boolean {
    return this.#loans.has(loan);
  }

  #endLoan(loan: PooledConnection): void {
    this.#loans.delete(loan);
    if (this.#loans.size === 0) this.#onDrained?.();
  }

  protected abstract shutDown(): Promise<void>;
  protected abstract takeBack(loan: PooledConnection, record: ConnectionRecord): Promise<void> | undefined;
  protected abstract discard(loan: PooledConnection, record: ConnectionRecord): void;
  protected abstract release(loan: PooledConnection, record: ConnectionRecord): void;

  protected get generation(): number {
    return this.#generation;
  }

  /** True: it lends no more. */
  get isDisposed(): boolean {
    return this.#state === 'disposed';
  }

  protected outsideOfRequests<T>(work: () => T): T {
    return this.#outsideOfRequests(work);
  }

  /** Opens a connection; what a listener of `connect` throws fails the attempt. */
  protected async openRecord(): Promise<ConnectionRecord> {
    // Taken before the attempt: what connects while everything is being invalidated may have reached the old
    // server.
    const generation = this.#generation;
    const session = await this.outsideOfRequests(() => this.driver.connect());
    // Opened again and again, it would be dropped again and again.
    if (!session.isOpen)
      throw new OperationalError(
        'the server dropped the session as soon as it was open. Its log may say why.',
      );
    const record = new ConnectionRecord(session, generation, this.observer);
    if (!this.observer.isObserved) return record;
    try {
      await this.outsideOfRequests(() => this.observer.opened(record));
      return record;
    } catch (error) {
      record.terminate();
      throw error;
    }
  }

  /** Why a checkout is refused before anything is tried. */
  protected refusal(signal: AbortSignal | undefined): { readonly reason: unknown } | undefined {
    if (this.isDisposed) return { reason: this.disposedError() };
    return signal?.aborted === true ? { reason: signal.reason } : undefined;
  }

  protected disposedError(): ResourceClosedError {
    return new ResourceClosedError(
      `the ${this.name} was disposed and lends no more connections; use the engine's present pool, or pool.recreate()`,
    );
  }

  protected timeoutError(timeout: number): PoolTimeoutError {
    return new PoolTimeoutError(
      `no connection became free within ${timeout} ms (${this.status()}). Look for work that keeps a connection ` +
        `while it waits for something else, or raise poolSize, maxOverflow or poolTimeout; poolLeakThreshold shows who keeps one`,
    );
  }

  /** Not lost, not outdated by an invalidation. */
  protected isCurrent(record: ConnectionRecord): boolean {
    return record.session.isOpen && record.generation === this.#generation && !record.isOutdated;
  }

  protected isExpired(record: ConnectionRecord): boolean {
    return this.options.poolRecycle >= 0 && record.isOlderThan(this.options.poolRecycle);
  }
}
