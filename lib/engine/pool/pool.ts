import type { ListenerOptions } from '../util/event-hub.js';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Driver, ServerRole } from '../driver/driver.js';
import { CallSite } from '../util/call-site.js';
import { WhenEmpty } from '../util/when-empty.js';
import type { ConnectionRecord } from './connection-record.js';
import { openRecord } from './open-record.js';
import { LeakDetector, type CheckedOutConnections } from './leak-detector.js';
import { checkoutTimedOut, lineFull, poolDisposed, refusedByListener } from './pool-errors.js';
import type { PoolEvents } from './pool-events.js';
import { PoolObserver, type Outside } from './pool-observer.js';
import { driverRule, resolvePoolOptions } from './pool-options.js';
import type { PoolOptions, ResetOnReturn, ResolvedPoolOptions } from './pool-options.js';
import { PooledConnection, type LoanOwner } from './pooled-connection.js';
import type { WaitSignal } from '../util/wait-end.js';
import type { SessionViews } from '../driver/session-views.js';
import { checkedCheckout, WaitingLine, type CheckoutOptions, type Waiter } from './waiting-line.js';
import { inspect } from '../errors/node-modules.js';
import { expectArgument } from '../util/argument.js';
import { COPY, THIS_COPY } from '../errors/copies.js';

/** How many connections in a row a `checkout` listener may end before the checkout fails. */
const MAX_REFUSALS = 3;

/**
 * What every pool can do. Opens nothing before the first checkout.
 *
 * Open connections keep the process alive, as those of `pg` do, idle ones too: a script ends after
 * `dispose()` (an engine's `aclose()`), or when `poolIdleTimeout` has closed the last. Timers of the pool
 * never do.
 *
 * A subclass that has a constructor of its own takes `(driver, options)`, or overrides `recreate()`.
 */
export abstract class Pool implements AsyncDisposable {
  /** What holds for this pool, defaults included. */
  readonly options: ResolvedPoolOptions;
  /** Of its server; undefined unless the engine has replicas. */
  readonly role: ServerRole | undefined;
  protected readonly driver: Driver;
  /** The callers that wait for a connection. */
  protected readonly line = new WaitingLine((timeout) => this.timeoutError(timeout));
  /** What is undone when a connection comes back. */
  protected readonly resetMode: ResetOnReturn;
  /** What borrowers see in place of the sessions; the engine hands it from pool to pool. @internal */
  views: SessionViews | undefined;
  /** Its events and its log; the engine sets the logger. @internal */
  observer = new PoolObserver();
  /** `host:port`; undefined for the pool of a primary. */
  #replica: string | undefined;
  readonly #owner: LoanOwner = {
    pool: this,
    onReturn: (loan, record) => {
      this.#endLoan(loan);
      return this.observer.hub.isObserved ? this.#returnObserved(loan, record) : this.receive(loan, record);
    },
    onInvalidated: (loan, record, cause, isSoft) => this.#invalidated(loan, record, cause, isSoft),
    onDetached: (loan, record) => {
      this.#endLoan(loan);
      this.release(loan, record);
      if (this.observer.isObserved) this.observer.detached(record);
    },
    onDetachedClose: (record) => {
      if (this.observer.isObserved) this.observer.resetting(record, 'a detached connection is closed');
      return record.resetAndClose(this.resetMode);
    },
  };
  readonly #loans: CheckedOutConnections;
  readonly #whenReturned = new WhenEmpty();
  // A socket or timer that outlives its request must not hold on to the request's async context.
  protected readonly outsideOfRequests: Outside = AsyncLocalStorage.snapshot();
  /** Counts the invalidations of all connections. */
  protected generation = 0;
  #state: 'open' | 'disposed' = 'open';
  #disposal: Promise<void> | undefined;

  /** @internal */
  get [COPY](): object {
    return THIS_COPY;
  }

  constructor(driver: Driver, options?: PoolOptions) {
    expectArgument('a pool', driverRule, driver);
    this.driver = driver;
    this.role = driver.facts.role;
    this.options = resolvePoolOptions(options);
    this.resetMode = this.options.poolResetOnReturn;
    this.#loans = this.#makeLoans();
  }

  /** The name that `status()` begins with. */
  abstract readonly name: string;

  /**
   * Lends a connection: an idle one, a new one, or the next that comes back.
   *
   * @throws ArgumentError for a wrong option, PoolTimeoutError, PoolOverloadError, PoolDeadlockError,
   * ResourceClosedError after `dispose()`, the signal's reason, or what opening a connection failed with.
   * @example
   * ```ts
   * await using pooled = await pool.connect();
   * ```
   */
  connect(options?: CheckoutOptions): Promise<PooledConnection> {
    try {
      const checkout = checkedCheckout(options);
      const refusal = this.#refusal(checkout.end ?? checkout.signal);
      if (refusal !== undefined) return Promise.reject(refusal.reason);
      const loan = this.tryConnect();
      return loan === undefined ? this.waitFor(checkout) : Promise.resolve(loan);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Lends what no `tryConnect()` can: a connection that is opened, examined, or waited for. May throw. */
  protected abstract waitFor(checkout: CheckoutOptions): Promise<PooledConnection>;

  /** Lends an idle connection that is good as it is; undefined where `connect()` would have to wait. */
  abstract tryConnect(): PooledConnection | undefined;

  /** How many connections are kept: `poolSize`. */
  abstract size(): number;
  /** How many connections are idle. */
  abstract checkedIn(): number;
  /** How many connections exist above `poolSize`; negative while there are fewer. */
  abstract overflow(): number;

  /** A connection comes back. Undefined where nothing has to be waited for. */
  protected abstract receive(loan: PooledConnection, record: ConnectionRecord): Promise<void> | undefined;

  /** A connection on loan is of no more use. */
  protected discard(_loan: PooledConnection, record: ConnectionRecord): void {
    record.terminate();
  }

  /** A connection was detached: its session is its borrower's alone. */
  protected release(_loan: PooledConnection, _record: ConnectionRecord): void {}

  /** Closes what is idle. The callers that wait are refused already. */
  protected shutDown(): Promise<void> {
    return Promise.resolve();
  }

  /** How many callers wait for a connection. */
  waiting(): number {
    return this.line.size;
  }

  /** How many connections are on loan. */
  checkedOut(): number {
    return this.#loans.size;
  }

  /** The figures in one line. */
  status(): string {
    return (
      `${this.name}: size ${this.size()}, checked in ${this.checkedIn()}, checked out ${this.checkedOut()}, ` +
      `overflow ${this.overflow()}, waiting ${this.waiting()}`
    );
  }

  /** What `JSON.stringify()` and the console show: `status()`, and nothing of its inside. */
  toJSON(): string {
    return this.status();
  }

  /** @internal */
  [inspect.custom](): string {
    return this.status();
  }

  /**
   * Adds a listener; see {@link PoolEvents}.
   *
   * @throws ArgumentError for an async listener where nothing would wait, InvalidRequestError for an unknown
   * event.
   */
  on<Name extends keyof PoolEvents>(
    event: Name,
    listener: PoolEvents[Name],
    options?: ListenerOptions,
  ): this {
    this.observer.hub.on(event, listener, options);
    return this;
  }

  /** Adds a listener that is called once. */
  once<Name extends keyof PoolEvents>(
    event: Name,
    listener: PoolEvents[Name],
    options?: ListenerOptions,
  ): this {
    this.observer.hub.on(event, listener, { ...options, once: true });
    return this;
  }

  /** Removes a listener. */
  off<Name extends keyof PoolEvents>(event: Name, listener: PoolEvents[Name]): this {
    this.observer.hub.off(event, listener);
    return this;
  }

  /** For the pool of a replica: what happens in it is told to the listeners of `pool`. @internal */
  serveReplica(host: string, pool: Pool): void {
    [this.observer, this.#replica] = [pool.observer, host];
  }

  /** A pool of the same class and settings that has no connections; this one stays as it is. */
  recreate(): Pool {
    const PoolClass = this.constructor as new (driver: Driver, options: PoolOptions) => Pool;
    const pool = new PoolClass(this.driver, this.options);
    [pool.observer, pool.#replica] = [this.observer.renew(), this.#replica];
    return pool;
  }

  /**
   * Replaces every connection that exists now: idle ones at their next checkout, those on loan when they come
   * back. With a `witness` (the connection that was found dead) only if it belongs to the present generation,
   * so that the many errors of one outage count once.
   */
  invalidateAll(witness?: { readonly generation: number }): void {
    if (witness === undefined || witness.generation === this.generation) this.generation += 1;
  }

  /**
   * Ends the pool: refuses callers that wait and new ones, closes idle connections, and closes those on loan
   * when they come back. Resolves when the idle ones are closed. Idempotent, never rejects.
   */
  dispose(): Promise<void> {
    if (this.#state === 'open') {
      this.observer.log.info('dispose', `disposed: ${this.status()}`);
      this.#state = 'disposed';
      this.line.rejectAll(poolDisposed(this.name));
      this.#disposal = this.shutDown();
    }
    return this.#disposal ?? Promise.resolve();
  }

  /**
   * Waits until nothing is on loan, at most `timeout` ms; what is on loan then is cancelled and its session
   * ended. Resolves to how many sessions were. Does not refuse new checkouts: stop them first.
   */
  async drain(timeout: number): Promise<number> {
    await this.#whenReturned.wait(this.#loans.size === 0, timeout);
    const left = [...this.#loans];
    if (left.length === 0) return 0;
    // A statement that is cancelled gives its connection back by itself: that one is closed, too.
    this.invalidateAll();
    await Promise.all(left.map((loan) => loan.session.cancel().catch(() => undefined)));
    for (const loan of left) this.#end(loan);
    return left.length;
  }

  /** For `await using`: `dispose()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /** True: it lends no more. */
  get isDisposed(): boolean {
    return this.#state === 'disposed';
  }

  /**
   * Lends to the caller of just now, with the stack that `checkoutTrace()` has taken. Undefined where a
   * listener of `checkout` has ended the connection: the caller is to get another one.
   *
   * @throws what a listener of `checkout` throws.
   */
  protected lend(record: ConnectionRecord, trace?: string): PooledConnection | undefined {
    const loan = new PooledConnection(record, this.#owner);
    this.#loans.add(loan, record, trace);
    if (!this.observer.hub.isObserved) return loan;
    if (this.observer.lent(this, record, loan)) return loan;
    this.#end(loan);
    return undefined;
  }

  /** Lends to a waiter, who gets the error that a listener of `checkout` throws. */
  protected deliver(record: ConnectionRecord, waiter: Waiter): void {
    const loan = this.#register(record, waiter.trace);
    try {
      if (this.observer.isObserved) this.observer.checkedOut(record, loan);
    } catch (error) {
      // The rejection comes first: the slot that the invalidation frees must not go to this waiter.
      waiter.reject(error);
      return loan.invalidate(error);
    }
    // A listener may have ended the wait: it has disposed of the pool, or aborted the waiter's signal.
    if (loan.isValid) return waiter.resolve(loan) ? undefined : void loan.close();
    // The waiter stays in line: the slot that becomes free has another connection for it.
    if (waiter.countRefusal() >= MAX_REFUSALS) waiter.reject(refusedByListener(MAX_REFUSALS));
    this.#end(loan);
  }

  /** Ends a loan that a listener, or the server, may have ended already. */
  #end(loan: PooledConnection): void {
    if (this.isLent(loan)) loan.invalidate();
  }

  #register(record: ConnectionRecord, trace: string | undefined): PooledConnection {
    const loan = new PooledConnection(record, this.#owner);
    this.#loans.add(loan, record, trace);
    return loan;
  }

  /** False: others have this connection too, so that its return ends nothing. */
  protected isLastLoanOf(_record: ConnectionRecord): boolean {
    return true;
  }

  /** How many callers may wait: one at least, for a connection that is opened for it. */
  protected get maxWaiting(): number {
    return Math.max(1, this.options.poolMaxWaiting ?? Number.POSITIVE_INFINITY);
  }

  #invalidated(loan: PooledConnection, record: ConnectionRecord, cause: unknown, isSoft: boolean): void {
    if (this.observer.isObserved) this.observer.invalidated(record, cause, isSoft);
    if (isSoft) return record.outdate();
    if (!this.isLent(loan)) return record.terminate();
    this.#endLoan(loan);
    this.discard(loan, record);
    if (this.observer.isObserved) this.observer.checkedIn(record, false, cause);
  }

  #returnObserved(loan: PooledConnection, record: ConnectionRecord): Promise<void> | undefined {
    const mode = this.resetMode;
    const isDue =
      mode !== null && record.session.isOpen && !record.isClean(mode) && this.isLastLoanOf(record);
    this.observer.resetting(
      record,
      isDue ? `${record.resetName(mode)} on return` : 'nothing to reset on return',
    );
    const receive = (): Promise<void> | undefined => {
      this.observer.checkedIn(record, true);
      return this.receive(loan, record);
    };
    return isDue ? record.reset(mode).then(receive) : receive();
  }

  /** To be called in the checkout itself; undefined unless leaks are looked for. */
  protected checkoutTrace(): string | undefined {
    return this.options.poolLeakThreshold === undefined ? undefined : new CallSite().trace();
  }

  /** Ends a loan that was garbage-collected: the session may be in any state. */
  protected reclaim(loan: PooledConnection): void {
    loan.invalidate();
  }

  #makeLoans(): CheckedOutConnections {
    const { poolLeakThreshold: threshold, logger } = this.options;
    if (threshold === undefined) return new Set();
    return new LeakDetector({
      threshold,
      logger,
      poolName: () => this.name,
      reclaim: (record) => this.reclaim(this.#register(record, undefined)),
      outsideOfRequests: this.outsideOfRequests,
    });
  }

  protected isLent(loan: PooledConnection): boolean {
    return this.#loans.has(loan);
  }

  #endLoan(loan: PooledConnection): void {
    this.#loans.delete(loan);
    if (this.#loans.size === 0) this.#whenReturned.notify();
  }

  /** Opens a connection; what a listener of `connect` throws fails the attempt. */
  protected openRecord(): Promise<ConnectionRecord> {
    const { driver, observer, generation, outsideOfRequests, role } = this;
    return openRecord({ driver, observer, generation, outsideOfRequests, role, replica: this.#replica });
  }

  /** Why a checkout is refused before anything is tried. */
  #refusal(signal: WaitSignal | undefined): { readonly reason: unknown } | undefined {
    const reason = this.isDisposed ? poolDisposed(this.name) : this.driver.refusal?.();
    if (reason !== undefined) return { reason };
    return signal?.aborted === true ? { reason: signal.reason } : undefined;
  }

  /** Puts a caller in line; throws where that is full. `timeout`: 0 means no limit. */
  protected wait(options: CheckoutOptions, timeout: number): Waiter {
    if (this.line.size >= this.maxWaiting) throw lineFull(this.waiting(), this.status());
    const waiter = this.line.join({
      timeout,
      signal: options.end ?? options.signal,
      trace: this.checkoutTrace(),
      holding: this.#lentOf(options.holding),
    });
    if (this.observer.isObserved) this.observer.waiting(this, waiter);
    return waiter;
  }

  #lentOf(holding: readonly PooledConnection[] | undefined): readonly PooledConnection[] | undefined {
    return holding === undefined || holding.length === 0
      ? undefined
      : holding.filter((loan) => this.isLent(loan));
  }

  protected timeoutError(timeout: number): Error {
    return checkoutTimedOut(timeout, this.status());
  }

  /** Not lost, not outdated by an invalidation. */
  protected isCurrent(record: ConnectionRecord): boolean {
    return record.isGood && record.generation === this.generation;
  }

  protected isExpired(record: ConnectionRecord): boolean {
    return this.options.poolRecycle >= 0 && record.isOlderThan(this.options.poolRecycle);
  }

  /**
   * True: the server answers on an idle connection, or need not be asked. Otherwise the session was dropped.
   *
   * @throws where the failure does not tell that the session is lost.
   */
  protected async passesPing(record: ConnectionRecord): Promise<boolean> {
    if (!this.options.poolPrePing) return true;
    const failure = await record.ping(this.observer.classifyPingFailure);
    if (failure === undefined) return true;
    if (failure.invalidatesPool) this.invalidateAll(record);
    if (!failure.isDisconnect) throw failure.error;
    return false;
  }
}
