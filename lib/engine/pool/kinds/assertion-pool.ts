import type { Driver } from '../../driver/driver.js';
import { IllegalStateError } from '../../errors/errors.js';
import { CallSite } from '../../util/call-site.js';
import type { ConnectionRecord } from '../connection-record.js';
import { Pool } from '../pool.js';
import type { PoolOptions } from '../pool-options.js';
import type { PooledConnection } from '../pooled-connection.js';
import type { CheckoutOptions, Waiter } from '../waiting-line.js';

/**
 * Lends one connection at a time and refuses the second, naming where the first was taken: a tool for finding
 * leaks.
 */
export class AssertionPool extends Pool {
  readonly name: string = 'AssertionPool';
  #idle: ConnectionRecord | undefined;
  #resetting: Promise<void> | undefined;
  #takenAt: CallSite | undefined;

  constructor(driver: Driver, options?: PoolOptions) {
    super(driver, { ...options, poolSize: 1, maxOverflow: 0, poolMinIdle: 0 });
  }

  protected waitFor(checkout: CheckoutOptions): Promise<PooledConnection> {
    const waiter = this.wait(checkout, checkout.timeout ?? this.options.poolTimeout);
    this.#takenAt = new CallSite();
    void this.#serve(waiter);
    return waiter.promise;
  }

  /** @throws IllegalStateError when the connection is on loan. */
  tryConnect(): PooledConnection | undefined {
    if (this.checkedOut() > 0 || this.waiting() > 0) throw this.#takenError();
    const record = this.#idle;
    if (this.options.poolPrePing || record === undefined) return undefined;
    if (!this.isCurrent(record) || this.isExpired(record)) return undefined;
    this.#idle = undefined;
    const loan = this.lend(record, this.checkoutTrace());
    if (loan !== undefined) this.#takenAt = new CallSite();
    return loan;
  }

  size(): number {
    return 1;
  }

  checkedIn(): number {
    return this.#idle === undefined ? 0 : 1;
  }

  overflow(): number {
    return this.checkedIn() + this.checkedOut() - 1;
  }

  protected receive(_loan: PooledConnection, record: ConnectionRecord): Promise<void> | undefined {
    if (!record.session.isOpen || record.generation !== this.generation) {
      record.terminate();
      return undefined;
    }
    if (record.isClean(this.resetMode)) return this.#keep(record);
    this.#resetting = this.#resetAndKeep(record).finally(() => (this.#resetting = undefined));
    return this.#resetting;
  }

  protected override async shutDown(): Promise<void> {
    await this.#resetting;
    const record = this.#idle;
    this.#idle = undefined;
    await record?.close();
  }

  async #serve(waiter: Waiter): Promise<void> {
    try {
      if (this.#resetting !== undefined) await this.#resetting;
      while (waiter.isWaiting) {
        const idle = this.#idle === undefined ? undefined : await this.#reusable(this.#idle);
        const record = idle ?? (await this.openRecord());
        if (waiter.isWaiting) this.deliver(record, waiter);
        else await this.#keep(record);
      }
    } catch (error) {
      waiter.reject(error);
    }
  }

  /** The idle connection, where it is good; otherwise it is ended. */
  async #reusable(record: ConnectionRecord): Promise<ConnectionRecord | undefined> {
    this.#idle = undefined;
    if (!this.isCurrent(record) || this.isExpired(record)) {
      await record.close();
      return undefined;
    }
    return (await this.passesPing(record)) ? record : undefined;
  }

  async #resetAndKeep(record: ConnectionRecord): Promise<void> {
    if (await record.reset(this.resetMode)) await this.#keep(record);
  }

  #keep(record: ConnectionRecord): Promise<void> | undefined {
    // A caller that gave up may have left an attempt behind, beside that of the next one.
    if (this.isDisposed || this.#idle !== undefined) return record.close();
    this.#idle = record;
    return undefined;
  }

  #takenError(): IllegalStateError {
    return new IllegalStateError(
      `the connection of the AssertionPool is already on loan. Return it first; it was taken at:\n${this.#takenAt?.trace()}`,
    );
  }
}
