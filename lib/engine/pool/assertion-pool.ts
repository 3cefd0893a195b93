import type { Driver } from '../driver/driver.js';
import { IllegalStateError } from '../errors/errors.js';
import type { PoolOptions } from './pool-options.js';
import type { PooledConnection } from './pooled-connection.js';
import { QueuePool } from './queue-pool.js';
import type { CheckoutOptions } from './waiter.js';

/**
 * Lends one connection at a time and refuses the second, naming where the first was taken: a tool for finding
 * leaks.
 */
export class AssertionPool extends QueuePool {
  override readonly name: string = 'AssertionPool';
  #takenAt: { stack?: string } = {};

  constructor(driver: Driver, options?: PoolOptions) {
    super(driver, { ...options, poolSize: 1, maxOverflow: 0, poolMinIdle: 0 });
  }

  /** @throws IllegalStateError when the connection is on loan, besides what other pools throw. */
  override connect(options: CheckoutOptions = {}): Promise<PooledConnection> {
    if (this.#isTaken()) return Promise.reject(this.#takenError());
    const loan = super.connect(options);
    this.#rememberSite();
    return loan;
  }

  override tryConnect(): PooledConnection | undefined {
    if (this.#isTaken()) throw this.#takenError();
    const loan = super.tryConnect();
    if (loan !== undefined) this.#rememberSite();
    return loan;
  }

  override recreate(): AssertionPool {
    return this.heir(new AssertionPool(this.driver, this.options));
  }

  #isTaken(): boolean {
    return this.checkedOut() > 0 || this.waiting() > 0;
  }

  #rememberSite(): void {
    this.#takenAt = {};
    Error.captureStackTrace(this.#takenAt);
  }

  #takenError(): IllegalStateError {
    // Without the heading, #rememberSite and the method that called it.
    const site = this.#takenAt.stack?.split('\n').slice(3).join('\n') ?? '';
    return new IllegalStateError(
      `the connection of the AssertionPool is already on loan; return it first. It was taken at:\n${site}`,
    );
  }
}
