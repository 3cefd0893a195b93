import type { Pool } from '../pool/pool.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import type { ConnectionObserver } from '../execution/connection-observer.js';

/** Who wants a connection of the pool. */
export interface CheckoutHost {
  readonly pool: Pool;
  /** Connections that transactions around this one hold while they wait for it. */
  holding(): readonly PooledConnection[];
  /** Undefined while nobody wants to know what happens here. */
  observer(): ConnectionObserver<unknown> | undefined;
}

/** The wait for a connection of the pool, which can be ended from outside. One at a time. */
export class Checkout {
  readonly #host: CheckoutHost;
  #end: ((reason: unknown) => void) | undefined;

  constructor(host: CheckoutHost) {
    this.#host = host;
  }

  /** Resolves to the next connection that is free, unless `signal` or {@link end} ends the wait. */
  async wait(signal: AbortSignal | undefined): Promise<PooledConnection> {
    const { pool } = this.#host;
    let isEnded = false;
    const waiting = (end: (reason: unknown) => void): void => {
      this.#end = (reason) => {
        isEnded = true;
        end(reason);
      };
    };
    try {
      return await pool.connect({ holding: this.#host.holding(), signal, waiting });
    } catch (error) {
      throw isEnded || signal?.aborted === true
        ? error
        : (this.#host.observer()?.connectFailed(error) ?? error);
    } finally {
      this.#end = undefined;
    }
  }

  /** Where somebody waits: that rejects with `reason`. */
  end(reason: unknown): void {
    this.#end?.(reason);
  }
}
