import type { Driver } from '../../driver/driver.js';
import { ConnectAttempts, isServerFull } from '../connect-attempts.js';
import type { ConnectionRecord } from '../connection-record.js';
import { DeadlockDetector } from '../deadlock-detector.js';
import { IdleSweeper } from '../idle-sweeper.js';
import { OverloadControl } from '../overload-control.js';
import { checkoutTimedOut } from '../pool-errors.js';
import { Pool } from '../pool.js';
import type { PoolOptions } from '../pool-options.js';
import type { PooledConnection } from '../pooled-connection.js';
import type { CheckoutOptions, Waiter } from '../waiting-line.js';
import { reasonOf } from '../../errors/thrown.js';
import { unref } from '../../util/clock.js';

/** Callers that may wait for each connection that may exist. */
const WAITING_PER_CONNECTION = 50;
/** How long the answer of a session stands for a ping, in ms. */
const PING_PAUSE = 500;

/**
 * Keeps up to `poolSize` idle connections and opens up to `maxOverflow` more; above that callers wait, and
 * are served in the order in which they came by whatever is free first: a connection that comes back, or one
 * that has been opened.
 */
export class QueuePool extends Pool {
  readonly name: string = 'QueuePool';
  /** In the order in which they came back. */
  readonly #idle: ConnectionRecord[] = [];
  readonly #attempts = new ConnectAttempts();
  // Resets and closings under way: dispose() waits for them.
  readonly #endings = new Set<Promise<void>>();
  readonly #sweeper: IdleSweeper | undefined;
  readonly #limit: number;
  /** None is kept once the pool is disposed. */
  #keepLimit: number;
  // Connections that exist or are being opened: attempts + pinging + idle + on loan + in #endings.
  #slots = 0;
  #pinging = 0;
  /** Set with `poolQueueTarget`. */
  readonly #overload: OverloadControl | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  readonly #deadlock = new DeadlockDetector(this.line, () => this.#allOnLoan(), this.outsideOfRequests);

  constructor(driver: Driver, options?: PoolOptions) {
    super(driver, options);
    const { poolSize, maxOverflow, poolIdleTimeout, poolMinIdle } = this.options;
    const { poolQueueTarget, poolQueueInterval } = this.options;
    if (poolQueueTarget !== undefined)
      this.#overload = new OverloadControl(this.line, {
        target: poolQueueTarget,
        interval: poolQueueInterval ?? 2_000,
        status: () => this.status(),
        warn: (message) => this.observer.warn('overload', message),
        outsideOfRequests: this.outsideOfRequests,
      });
    this.#keepLimit = poolSize === 0 ? Infinity : poolSize;
    this.#limit = maxOverflow === -1 ? Infinity : this.#keepLimit + maxOverflow;
    if (poolIdleTimeout !== undefined) {
      const close = (record: ConnectionRecord): void => void this.#end(record);
      this.#sweeper = new IdleSweeper(this.#idle, { timeout: poolIdleTimeout, keep: poolMinIdle, close });
    }
  }

  tryConnect(): PooledConnection | undefined {
    const { poolRecycle, poolUseLifo, poolLeakThreshold, poolPrePing } = this.options;
    for (;;) {
      const record = poolUseLifo ? this.#idle.at(-1) : this.#idle[0];
      if (record?.isGood !== true || record.generation !== this.generation) return undefined;
      if (poolRecycle >= 0 && this.isExpired(record)) return undefined;
      if (poolPrePing && !record.answeredWithin(PING_PAUSE)) return undefined;
      if (poolPrePing) record.markLent();
      this.#overload?.lending();
      if (poolUseLifo) this.#idle.pop();
      else this.#idle.shift();
      const loan = this.lend(record, poolLeakThreshold === undefined ? undefined : this.checkoutTrace());
      if (loan !== undefined) return loan;
    }
  }

  size(): number {
    return this.options.poolSize;
  }

  checkedIn(): number {
    return this.#idle.length;
  }

  overflow(): number {
    return this.options.poolSize === 0 ? 0 : this.#slots - this.options.poolSize;
  }

  /** A caller for whom a connection may be opened waits for no return. */
  protected override get maxWaiting(): number {
    const longest = this.options.poolMaxWaiting ?? WAITING_PER_CONNECTION * this.#limit;
    return longest + this.#limit - this.checkedOut();
  }

  protected receive(loan: PooledConnection, record: ConnectionRecord): Promise<void> | undefined {
    if (this.line.size > 0) this.line.forget(loan);
    if (this.options.poolPrePing) record.markReturned();
    // One that was only softly invalidated comes back like any other, and is replaced when it is next needed.
    if (!record.session.isOpen || record.generation !== this.generation) {
      this.#drop(record);
      this.#pump();
      return undefined;
    }
    return record.isClean(this.resetMode) ? this.#keep(record) : this.#tracked(this.#resetAndKeep(record));
  }

  protected override discard(loan: PooledConnection, record: ConnectionRecord): void {
    this.line.forget(loan);
    this.#drop(record);
    this.#pump();
  }

  protected override release(loan: PooledConnection): void {
    this.line.forget(loan);
    this.#slots -= 1;
    this.#pump();
  }

  protected override async shutDown(): Promise<void> {
    this.#keepLimit = 0;
    this.#sweeper?.stop();
    this.#stopTimer();
    for (let record = this.#idle.shift(); record !== undefined; record = this.#idle.shift())
      void this.#end(record);
    while (this.#endings.size > 0) await Promise.all(this.#endings);
  }

  protected waitFor(checkout: CheckoutOptions): Promise<PooledConnection> {
    const timeout = checkout.timeout ?? this.options.poolTimeout;
    const waiter = this.wait(checkout, timeout);
    this.#pump();
    if (waiter.isWaiting) this.#overload?.joined();
    if (waiter.isWaiting) this.#deadlock.watch(waiter, checkout.holdingNow);
    if (timeout === 0 && this.line.size > this.#arriving()) waiter.reject(this.timeoutError(timeout));
    return waiter.promise;
  }

  /** Slots that will be free, or have a connection to lend, without any return. */
  #arriving(): number {
    return this.#slots - this.checkedOut() - this.#idle.length;
  }

  /** How many connections are on loan, where these are all that may exist. */
  #allOnLoan(): number | undefined {
    const onLoan = this.checkedOut();
    return this.#slots >= this.#limit && onLoan === this.#slots ? onLoan : undefined;
  }

  protected override timeoutError(timeout: number): Error {
    if (timeout > 0 && this.#deadlock.isSuspected) return this.#deadlock.error();
    return checkoutTimedOut(timeout, this.status(), this.#attempts.lastFailure);
  }

  /** Brings together what is free and the callers that wait. */
  #pump(): void {
    let waiter = this.line.next;
    while (waiter !== undefined && this.line.size > this.#pinging) {
      const record = this.#takeIdle();
      if (record === undefined) break;
      if (!this.isCurrent(record)) this.#drop(record);
      else if (this.isExpired(record)) void this.#end(record);
      else if (this.options.poolPrePing && !record.answeredWithin(PING_PAUSE))
        void this.#pingAndDeliver(record);
      else this.#lendTo(record, waiter);
      waiter = this.line.next;
    }
    if (waiter !== undefined) this.#openMore();
    else this.#stopTimer();
  }

  #openMore(): void {
    const [line, attempts] = [this.line, this.#attempts];
    while (line.size > this.#pinging + attempts.promisingFor(line) && this.#used() < this.#limit) {
      const delay = attempts.delayFor(line);
      if (delay !== 0) return this.#pumpLater(delay);
      void this.#open();
    }
    this.#pumpLater(attempts.nextChange);
  }

  /** Slots, without the attempts that hang and that no caller counts on any more. */
  #used(): number {
    const hanging = this.#attempts.size - this.#attempts.promisingFor(this.line);
    return this.#slots - Math.min(hanging, this.#limit);
  }

  #stopTimer(): void {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
  }

  #pumpLater(delay: number | undefined): void {
    if (delay === undefined || this.#retryTimer !== undefined) return;
    const pump = (): void => {
      this.#retryTimer = undefined;
      this.#pump();
    };
    this.#retryTimer = this.outsideOfRequests(() => unref(setTimeout(pump, Math.ceil(delay) + 1)));
  }

  async #open(): Promise<void> {
    this.#slots += 1;
    const opening = this.#attempts.run(
      () => this.openRecord(),
      (record) => this.#opened(record),
    );
    await opening.catch((error: unknown) => {
      this.#slots -= 1;
      this.#rejectAfter(error);
      this.#pump();
    });
  }

  #opened(record: ConnectionRecord): void {
    // An attempt that was no longer counted on has succeeded, and its place is taken.
    if (this.#used() > this.#limit) void this.#end(record);
    else this.#deliver(record);
    // Behind a server that was down, more attempts are allowed now.
    if (this.line.size > 0) this.#openMore();
  }

  /**
   * Connection attempts are not tied to a waiter: one fails only where fewer attempts than waiters remain.
   */
  #rejectAfter(error: unknown): void {
    const existing = this.#slots - this.#attempts.size;
    if (isServerFull(error) && this.#slots > 0) return this.#makeDo(existing, error);
    const promising = this.#pinging + this.#attempts.promisingFor(this.line);
    // Connections that exist may come back. Without one, an attempt has failed for all that wait for it.
    const excess = Math.min(this.line.size - promising, existing > 0 ? 1 : Infinity);
    for (let left = excess; left > 0; left -= 1) this.line.first?.reject(error);
  }

  /** The server takes no more connections: callers wait for one of those that the pool has. */
  #makeDo(existing: number, error: unknown): void {
    if (!this.#attempts.pause() || existing === 0) return;
    this.observer.warn(
      'full',
      `the server takes no more connections, so the ${this.name} works with the ${existing} it has and tries again ` +
        `every second: ${reasonOf(error)}. Lower poolSize and maxOverflow, or ` +
        `raise max_connections of the server.`,
    );
  }

  async #pingAndDeliver(record: ConnectionRecord): Promise<void> {
    this.#pinging += 1;
    const failure = await record.ping(this.observer.classifyPingFailure);
    this.#pinging -= 1;
    if (failure?.invalidatesPool === true) this.invalidateAll(record);
    if (failure?.isDisconnect === false) this.line.first?.reject(failure.error);
    this.#deliver(record);
  }

  /** A connection that is known to be good as of now goes to the first waiter, whatever its age. */
  #deliver(record: ConnectionRecord): void {
    const waiter = this.line.next;
    if (!this.isCurrent(record)) {
      this.#drop(record);
      this.#pump();
    } else if (waiter !== undefined && !this.isDisposed) this.#lendTo(record, waiter);
    else void this.#keep(record);
    if (this.line.size === 0) this.#stopTimer();
  }

  #lendTo(record: ConnectionRecord, waiter: Waiter): void {
    if (this.options.poolPrePing) record.markLent();
    // Before the caller leaves the line: its own wait counts.
    this.#overload?.lending();
    const served = waiter.isWaiting ? waiter : this.line.next;
    if (served === undefined) void this.#keep(record);
    else this.deliver(record, served);
  }

  async #resetAndKeep(record: ConnectionRecord): Promise<void> {
    if (await record.reset(this.resetMode)) return await this.#keep(record);
    this.#drop(record);
    this.#pump();
  }

  #keep(record: ConnectionRecord): Promise<void> | undefined {
    // Where callers wait for it, fewer are idle.
    if (this.#idle.length >= this.#keepLimit) return this.#end(record);
    this.#idle.push(record);
    if (this.line.size > 0) this.#pump();
    else if (this.#retryTimer !== undefined) this.#stopTimer();
    if (this.#sweeper !== undefined && this.#idle.at(-1) === record) {
      this.outsideOfRequests(() => this.#sweeper?.added(record));
    }
    return undefined;
  }

  #takeIdle(): ConnectionRecord | undefined {
    return this.options.poolUseLifo ? this.#idle.pop() : this.#idle.shift();
  }

  #drop(record: ConnectionRecord): void {
    record.terminate();
    this.#slots -= 1;
  }

  /**
   * Says goodbye. The slot is free when the server has heard it: there are never more sessions than the
   * limit.
   */
  #end(record: ConnectionRecord): Promise<void> {
    return this.#tracked(this.#closeAndVacate(record));
  }

  async #closeAndVacate(record: ConnectionRecord): Promise<void> {
    await record.close();
    this.#slots -= 1;
    this.#pump();
  }

  #tracked(ending: Promise<void>): Promise<void> {
    this.#endings.add(ending);
    return ending.finally(() => this.#endings.delete(ending));
  }
}
