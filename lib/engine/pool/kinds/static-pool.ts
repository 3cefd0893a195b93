import type { ConnectionRecord } from '../connection-record.js';
import { Pool } from '../pool.js';
import type { PooledConnection } from '../pooled-connection.js';
import type { ResetOnReturn } from '../pool-options.js';
import type { CheckoutOptions, Waiter } from '../waiting-line.js';

/**
 * One connection, shared by all borrowers at the same time, opened at the first checkout and again when it
 * was lost. What one borrower does in a transaction, the others see, and one ROLLBACK undoes the work of all:
 * for a session that has something no other has, such as temporary tables, which is why `poolResetOnReturn:
 * 'session'` only rolls back here. An engine on PGlite does not need it: its `QueuePool` of one place lends
 * the session to one borrower at a time.
 */
export class StaticPool extends Pool {
  readonly name: string = 'StaticPool';
  /** What is set in the session is there for all. */
  protected override readonly resetMode: ResetOnReturn =
    this.options.poolResetOnReturn === 'session' ? 'rollback' : this.options.poolResetOnReturn;
  /** Borrowers of each connection that is on loan: the present one and those that it replaced. */
  readonly #borrowers = new Map<ConnectionRecord, number>();
  #current: ConnectionRecord | undefined;
  #serving: Promise<void> | undefined;
  #resetting: Promise<void> | undefined;

  /** `timeout` limits the opening where it is given; `poolTimeout` has no meaning here. */
  protected waitFor(checkout: CheckoutOptions): Promise<PooledConnection> {
    const waiter = this.wait(checkout, checkout.timeout ?? 0);
    this.#serve();
    return waiter.promise;
  }

  tryConnect(): PooledConnection | undefined {
    if (this.options.poolPrePing || this.isDisposed) return undefined;
    if (this.#serving !== undefined || this.#resetting !== undefined) return undefined;
    const record = this.#current;
    return record !== undefined && this.#isLendable(record)
      ? this.#lend(record, this.checkoutTrace())
      : undefined;
  }

  size(): number {
    return 1;
  }

  checkedIn(): number {
    return this.#current !== undefined && !this.#borrowers.has(this.#current) ? 1 : 0;
  }

  overflow(): number {
    return 0;
  }

  protected async receive(_loan: PooledConnection, record: ConnectionRecord): Promise<void> {
    const count = this.#borrowers.get(record);
    if (count === undefined) return;
    if (count > 1) {
      this.#borrowers.set(record, count - 1);
      return;
    }
    this.#borrowers.delete(record);
    const isOutlived = record !== this.#current || record.generation !== this.generation;
    if (isOutlived || this.isDisposed) await this.#end(record);
    else if (record.session.isOpen && !record.isIdle) await this.#reset(record);
  }

  protected override discard(_loan: PooledConnection, record: ConnectionRecord): void {
    this.#forget(record);
    record.terminate();
  }

  protected override release(_loan: PooledConnection, record: ConnectionRecord): void {
    this.#forget(record);
  }

  protected override async shutDown(): Promise<void> {
    await this.#resetting;
    if (this.#current !== undefined && !this.#borrowers.has(this.#current)) await this.#end(this.#current);
  }

  #isLendable(record: ConnectionRecord): boolean {
    return this.isCurrent(record) && !this.isExpired(record);
  }

  /** The others go on with the session: it is only given back. */
  protected override reclaim(loan: PooledConnection): void {
    void loan.close();
  }

  #lend(record: ConnectionRecord, trace: string | undefined): PooledConnection | undefined {
    this.#addBorrower(record);
    return this.lend(record, trace);
  }

  #lendTo(waiter: Waiter, record: ConnectionRecord): void {
    this.#addBorrower(record);
    this.deliver(record, waiter);
  }

  #addBorrower(record: ConnectionRecord): void {
    this.#borrowers.set(record, (this.#borrowers.get(record) ?? 0) + 1);
  }

  // The others go on with the session, and with what is open on it.
  protected override isLastLoanOf(record: ConnectionRecord): boolean {
    return this.#borrowers.get(record) === 1;
  }

  #forget(record: ConnectionRecord): void {
    this.#borrowers.delete(record);
    if (this.#current === record) this.#current = undefined;
  }

  /** Serves the whole line by one opening or ping. */
  #serve(): void {
    this.#serving ??= this.#serveLine().finally(() => {
      this.#serving = undefined;
      if (this.line.size > 0) this.#serve();
    });
  }

  async #serveLine(): Promise<void> {
    await this.#resetting;
    try {
      const record = (await this.#reusable()) ?? (await this.#reopen());
      while (this.line.first !== undefined && record.session.isOpen) this.#lendTo(this.line.first, record);
    } catch (error) {
      this.line.rejectAll(error);
    }
    const record = this.#current;
    if (this.isDisposed && record !== undefined && !this.#borrowers.has(record)) await this.#end(record);
  }

  async #reusable(): Promise<ConnectionRecord | undefined> {
    const record = this.#current;
    if (record === undefined || !this.#isLendable(record)) return undefined;
    const isGood = await this.passesPing(record);
    return isGood && this.#current === record ? record : undefined;
  }

  async #reopen(): Promise<ConnectionRecord> {
    const former = this.#current;
    this.#current = undefined;
    // Its borrowers go on with it; the last of them closes it.
    if (former !== undefined && !this.#borrowers.has(former)) await this.#end(former);
    const record = await this.openRecord();
    this.#current = record;
    return record;
  }

  async #reset(record: ConnectionRecord): Promise<void> {
    // Commands run in the order in which they were handed over: what is borrowed meanwhile comes after the
    // ROLLBACK.
    const resetting = record.reset(this.resetMode).then((isUsable) => {
      if (!isUsable && this.#current === record) this.#current = undefined;
      if (this.#resetting === resetting) this.#resetting = undefined;
    });
    this.#resetting = resetting;
    await resetting;
  }

  async #end(record: ConnectionRecord): Promise<void> {
    if (this.#current === record) this.#current = undefined;
    if (this.isCurrent(record) || this.isDisposed) await record.close();
    else record.terminate();
  }
}
