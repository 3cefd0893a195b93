import type { PooledConnection } from './pooled-connection.js';

/** What a caller may say about one checkout. */
export interface CheckoutOptions {
  /** Milliseconds to wait; the pool's `poolTimeout` when not given. 0: fail at once when the pool is full. */
  readonly timeout?: number | undefined;
  /** Ends the wait with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** The connections that this caller holds already: what tells a wait that cannot end from one that can. */
  readonly holding?: readonly PooledConnection[] | undefined;
}

export interface WaiterEvents {
  /** Makes the error of a wait that took too long. */
  expired(timeout: number): Error;
  /** The wait is over, in whatever way. */
  settled(waiter: Waiter): void;
}

/** Somebody who waits for a connection. Settles once, and then leaves neither timer nor listener behind. */
export class Waiter {
  readonly promise: Promise<PooledConnection>;
  /** The stack of the checkout, where leaks are looked for. */
  readonly trace: string | undefined;
  readonly #events: WaiterEvents;
  readonly #signal: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #onAbort = (): void => this.reject(this.#signal?.reason);
  #resolve!: (connection: PooledConnection) => void;
  #reject!: (reason: unknown) => void;
  #state: 'waiting' | 'settled' = 'waiting';

  constructor(timeout: number, signal: AbortSignal | undefined, events: WaiterEvents, trace?: string) {
    this.trace = trace;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#events = events;
    this.#signal = signal;
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (timeout > 0) this.#timer = setTimeout(() => this.reject(events.expired(timeout)), timeout);
  }

  get isWaiting(): boolean {
    return this.#state === 'waiting';
  }

  resolve(connection: PooledConnection): void {
    if (this.#settle()) this.#resolve(connection);
  }

  reject(reason: unknown): void {
    if (this.#settle()) this.#reject(reason);
  }

  #settle(): boolean {
    if (this.#state === 'settled') return false;
    this.#state = 'settled';
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#events.settled(this);
    return true;
  }
}
