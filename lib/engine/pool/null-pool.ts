import type { ConnectionRecord } from './connection-record.js';
import { Pool } from './pool.js';
import type { PooledConnection } from './pooled-connection.js';
import type { CheckoutOptions, Waiter } from './waiter.js';
import { WaitingLine } from './waiting-line.js';

/** Keeps nothing: every checkout opens a connection and every return closes it. Its number is not limited. */
export class NullPool extends Pool {
  readonly name: string = 'NullPool';
  readonly #line = new WaitingLine();

  /** `timeout` bounds the opening where it is given; `poolTimeout` has no meaning here. */
  connect(options: CheckoutOptions = {}): Promise<PooledConnection> {
    const refusal = this.refusal(options.signal);
    if (refusal !== undefined) return Promise.reject(refusal.reason);
    const waiter = this.#line.join({
      timeout: options.timeout ?? 0,
      signal: options.signal,
      waiting: options.waiting,
      trace: this.checkoutTrace(),
      expired: (timeout) => this.timeoutError(timeout),
    });
    void this.#openFor(waiter);
    return waiter.promise;
  }

  tryConnect(): undefined {
    return undefined;
  }

  recreate(): NullPool {
    return this.heir(new NullPool(this.driver, this.options));
  }

  size(): number {
    return 0;
  }

  checkedIn(): number {
    return 0;
  }

  overflow(): number {
    return 0;
  }

  waiting(): number {
    return this.#line.size;
  }

  protected async takeBack(_loan: PooledConnection, record: ConnectionRecord): Promise<void> {
    // The server rolls back by itself what is open when a session ends; only a COMMIT must be said.
    if (this.options.poolResetOnReturn === 'commit' && record.session.isOpen && !record.isClean) {
      await record.reset('commit');
    }
    await record.close();
  }

  protected discard(_loan: PooledConnection, record: ConnectionRecord): void {
    record.terminate();
  }

  // A detached session is its borrower's alone.
  protected release(): void {}

  protected shutDown(): Promise<void> {
    this.#line.rejectAll(this.disposedError());
    return Promise.resolve();
  }

  async #openFor(waiter: Waiter): Promise<void> {
    let record: ConnectionRecord;
    try {
      record = await this.openRecord();
    } catch (error) {
      waiter.reject(error);
      return;
    }
    if (!waiter.isWaiting) {
      await record.close();
      return;
    }
    this.hand(record, waiter);
  }
}
