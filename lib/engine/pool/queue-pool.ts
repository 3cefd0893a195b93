import type { Driver } from '../driver/driver.js';
import { PoolDeadlockError } from '../errors/errors.js';
import type { ConnectionRecord } from './connection-record.js';
import { IdleSweeper } from './idle-sweeper.js';
import { LinkedList } from '../util/linked-list.js';
import { Pool } from './pool.js';
import type { PoolOptions } from './pool-options.js';
import type { PooledConnection } from './pooled-connection.js';
import { prePing } from './pre-ping.js';
import type { CheckoutOptions } from './waiter.js';
import { WaitingLine } from './waiting-line.js';

/**
 * Keeps up to `poolSize` idle connections and opens up to `maxOverflow` more; above that callers wait, and
 * are served in the order in which they came by whatever is free first: a connection that comes back, or one
 * that has been opened.
 */
export class QueuePool extends Pool {
  readonly name: string = 'QueuePool';
  readonly #idle = new LinkedList<ConnectionRecord>();
  readonly #line = new WaitingLine();
  // Resets and closings under way: dispose() waits for them.
  readonly #endings = new Set<Promise<void>>();
  readonly #sweeper: IdleSweeper | undefined;
  readonly #limit: number;
  readonly #keepLimit: number;
  // Connections that exist or are being opened: connecting + pinging + idle + on loan + in #endings.
  #slots = 0;
  #connecting = 0;
  #pinging = 0;

  constructor(driver: Driver, options?: PoolOptions) {
    super(driver, options);
    const { poolSize, maxOverflow, poolIdleTimeout, poolMinIdle } = this.options;
    this.#keepLimit = poolSize === 0 ? Infinity : poolSize;
    this.#limit = maxOverflow === -1 ? Infinity : this.#keepLimit + maxOverflow;
    if (poolIdleTimeout !== undefined) {
      const close = (record: ConnectionRecord): void => void this.#end(record);
      this.#sweeper = new IdleSweeper(this.#idle, { timeout: poolIdleTimeout, keep: poolMinIdle, close });
    }
  }

  connect(options: CheckoutOptions = {}): Promise<PooledConnection> {
    const refusal = this.refusal(options.signal);
    if (refusal !== undefined) return Promise.reject(refusal.reason);
    try {
      const loan = this.tryConnect();
      return loan === undefined ? this.#wait(options) : Promise.resolve(loan);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  tryConnect(): PooledConnection | undefined {
    if (this.options.poolPrePing) return undefined;
    const record = this.options.poolUseLifo ? this.#idle.last : this.#idle.first;
    if (record === undefined || !this.isCurrent(record) || this.isExpired(record)) return undefined;
    this.#takeIdle();
    return this.lend(record, this.checkoutTrace());
  }

  recreate(): QueuePool {
    return this.heir(new QueuePool(this.driver, this.options));
  }

  size(): number {
    return this.options.poolSize;
  }

  checkedIn(): number {
    return this.#idle.size;
  }

  overflow(): number {
    return this.options.poolSize === 0 ? 0 : this.#slots - this.options.poolSize;
  }

  waiting(): number {
    return this.#line.size;
  }

  protected takeBack(loan: PooledConnection, record: ConnectionRecord): Promise<void> | undefined {
    this.#line.forget(loan);
    // One that was only softly invalidated comes back like any other, and is replaced when it is next needed.
    if (!record.session.isOpen || record.generation !== this.generation) {
      this.#drop(record);
      this.#pump();
      return undefined;
    }
    return record.isClean ? this.#keep(record) : this.#tracked(this.#resetAndKeep(record));
  }

  protected discard(loan: PooledConnection, record: ConnectionRecord): void {
    this.#line.forget(loan);
    this.#drop(record);
    this.#pump();
  }

  protected release(loan: PooledConnection): void {
    this.#line.forget(loan);
    this.#slots -= 1;
    this.#pump();
  }

  protected async shutDown(): Promise<void> {
    this.#sweeper?.stop();
    this.#line.rejectAll(this.disposedError());
    for (let record = this.#idle.shift(); record !== undefined; record = this.#idle.shift())
      void this.#end(record);
    while (this.#endings.size > 0) await Promise.all(this.#endings);
  }

  #wait(options: CheckoutOptions): Promise<PooledConnection> {
    const timeout = options.timeout ?? this.options.poolTimeout;
    const waiter = this.#line.join({
      timeout,
      signal: options.signal,
      waiting: options.waiting,
      trace: this.checkoutTrace(),
      holding: options.holding?.filter((loan) => this.isLent(loan)) ?? [],
      expired: () => this.timeoutError(timeout),
    });
    this.#pump();
    if (waiter.isWaiting && this.#isDeadlocked()) waiter.reject(this.#deadlockError());
    else if (timeout === 0 && this.#line.size > this.#arriving()) waiter.reject(this.timeoutError(timeout));
    return waiter.promise;
  }

  /** Slots that will be free, or have a connection to lend, without anybody returning one. */
  #arriving(): number {
    return this.#slots - this.checkedOut() - this.#idle.size;
  }

  #isDeadlocked(): boolean {
    const onLoan = this.checkedOut();
    return this.#slots >= this.#limit && onLoan === this.#slots && this.#line.heldConnections === onLoan;
  }

  #deadlockError(): PoolDeadlockError {
    return new PoolDeadlockError(
      `no connection can ever become free: each of the ${this.checkedOut()} connections of the pool is held by somebody ` +
        `who waits here for another one. Do not open a second connection inside a transaction ('requires-new', ` +
        `engine.begin), or raise poolSize or maxOverflow above the number of such transactions that run at once`,
    );
  }

  /** Brings together what is free and who waits. */
  #pump(): void {
    while (this.#line.size > this.#pinging) {
      const record = this.#takeIdle();
      if (record === undefined) break;
      if (!this.isCurrent(record)) this.#drop(record);
      else if (this.isExpired(record)) void this.#end(record);
      else if (this.options.poolPrePing) void this.#pingAndDeliver(record);
      else this.hand(record, this.#line.first);
    }
    while (this.#line.size > this.#pinging + this.#connecting && this.#slots < this.#limit) void this.#open();
  }

  async #open(): Promise<void> {
    this.#slots += 1;
    this.#connecting += 1;
    let record: ConnectionRecord;
    try {
      record = await this.openRecord();
    } catch (error) {
      this.#connecting -= 1;
      this.#slots -= 1;
      // Attempts belong to nobody: as long as one is left for each waiter, this failure is nobody's.
      if (this.#line.size > this.#pinging + this.#connecting) this.#line.first?.reject(error);
      this.#pump();
      return;
    }
    this.#connecting -= 1;
    this.#deliver(record);
  }

  async #pingAndDeliver(record: ConnectionRecord): Promise<void> {
    this.#pinging += 1;
    const failure = await prePing(record, this.observer.pingJudge);
    this.#pinging -= 1;
    if (failure?.invalidatesPool === true) this.invalidateAll(record);
    if (failure?.isDisconnect === false) this.#line.first?.reject(failure.error);
    this.#deliver(record);
  }

  /** A connection that is known to be good as of now goes to the first waiter, whatever its age. */
  #deliver(record: ConnectionRecord): void {
    if (this.isCurrent(record) && !this.isDisposed && this.#line.first !== undefined) {
      this.hand(record, this.#line.first);
      return;
    }
    if (this.isCurrent(record)) {
      void this.#keep(record);
      return;
    }
    this.#drop(record);
    this.#pump();
  }

  async #resetAndKeep(record: ConnectionRecord): Promise<void> {
    if (await record.reset(this.options.poolResetOnReturn)) return await this.#keep(record);
    this.#drop(record);
    this.#pump();
  }

  #keep(record: ConnectionRecord): Promise<void> | undefined {
    // Where anybody waits for it the idle ones are fewer.
    if (this.isDisposed || this.#idle.size >= this.#keepLimit) return this.#end(record);
    this.#idle.push(record);
    this.#pump();
    if (this.#sweeper !== undefined && this.#idle.last === record) {
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
