import { LinkedList } from '../util/linked-list.js';
import type { PooledConnection } from './pooled-connection.js';
import { Waiter } from './waiter.js';
import type { CheckoutOptions } from './waiter.js';

export interface Wait extends Pick<CheckoutOptions, 'signal' | 'waiting'> {
  /** Milliseconds; 0: without end. */
  readonly timeout: number;
  /** Connections on loan from this pool that the caller holds while he waits. */
  readonly holding?: readonly PooledConnection[];
  /** The stack of the checkout. */
  readonly trace?: string | undefined;
  expired(timeout: number): Error;
}

/** The callers that wait for a connection, in the order in which they came. */
export class WaitingLine {
  readonly #waiters = new LinkedList<Waiter>();
  readonly #held = new Map<PooledConnection, number>();

  get size(): number {
    return this.#waiters.size;
  }

  get first(): Waiter | undefined {
    return this.#waiters.first;
  }

  /** How many connections are held by somebody in this line. */
  get heldConnections(): number {
    return this.#held.size;
  }

  join(wait: Wait): Waiter {
    const holding = wait.holding ?? [];
    for (const loan of holding) this.#held.set(loan, (this.#held.get(loan) ?? 0) + 1);
    const waiter = new Waiter(wait.signal, wait.trace, () => {
      clearTimeout(timer);
      this.#waiters.remove(place);
      for (const loan of holding) this.#unhold(loan);
    });
    const { timeout } = wait;
    const expire = (): void => waiter.reject(wait.expired(timeout));
    const timer = timeout > 0 ? setTimeout(expire, timeout) : undefined;
    const place = this.#waiters.push(waiter);
    wait.waiting?.((reason) => waiter.reject(reason));
    return waiter;
  }

  rejectAll(reason: unknown): void {
    while (this.#waiters.first !== undefined) this.#waiters.first.reject(reason);
  }

  /** `loan` has ended while its borrower may still stand in line. */
  forget(loan: PooledConnection): void {
    if (this.#held.size > 0) this.#held.delete(loan);
  }

  #unhold(loan: PooledConnection): void {
    const count = this.#held.get(loan);
    if (count === undefined) return;
    if (count > 1) this.#held.set(loan, count - 1);
    else this.#held.delete(loan);
  }
}
