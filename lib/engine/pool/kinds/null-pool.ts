import type { ConnectionRecord } from '../connection-record.js';
import { Pool } from '../pool.js';
import type { PooledConnection } from '../pooled-connection.js';
import type { CheckoutOptions, Waiter } from '../waiting-line.js';

/** Keeps nothing: every checkout opens a connection and every return closes it. Their number has no limit. */
export class NullPool extends Pool {
  readonly name: string = 'NullPool';

  /** `timeout` limits the opening where it is given; `poolTimeout` has no meaning here. */
  protected waitFor(checkout: CheckoutOptions): Promise<PooledConnection> {
    const waiter = this.wait(checkout, checkout.timeout ?? 0);
    void this.#openFor(waiter);
    return waiter.promise;
  }

  tryConnect(): undefined {
    return undefined;
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

  protected async receive(_loan: PooledConnection, record: ConnectionRecord): Promise<void> {
    // The server rolls back by itself what is open when a session ends; only a COMMIT has to be sent.
    if (this.options.poolResetOnReturn === 'commit' && record.session.isOpen && !record.isIdle) {
      await record.reset('commit');
    }
    await record.close();
  }

  async #openFor(waiter: Waiter): Promise<void> {
    while (waiter.isWaiting) {
      let record: ConnectionRecord;
      try {
        record = await this.openRecord();
      } catch (error) {
        waiter.reject(error);
        return;
      }
      if (waiter.isWaiting) this.deliver(record, waiter);
      else await record.close();
    }
  }
}
