import { onAbort } from '../util/on-abort.js';
import type { PooledConnection } from './pooled-connection.js';

/** What a caller may say about one checkout. */
export interface CheckoutOptions {
  /** Milliseconds to wait; the pool's `poolTimeout` when not given. 0: fail at once when the pool is full. */
  readonly timeout?: number | undefined;
  /** Ends the wait with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** The connections that this caller holds already: what tells a wait that cannot end from one that can. */
  readonly holding?: readonly PooledConnection[] | undefined;
  /**
   * Where there is a wait, it is handed what ends that with a reason: a signal that costs nothing. @internal
   */
  readonly waiting?: ((end: (reason: unknown) => void) => void) | undefined;
}

/** Somebody who waits for a connection. Settles once, and then leaves no listener behind. */
export class Waiter {
  readonly promise: Promise<PooledConnection>;
  /** The stack of the checkout, where leaks are looked for. */
  readonly trace: string | undefined;
  readonly #settled: () => void;
  readonly #ignoreSignal: (() => void) | undefined;
  #resolve!: (connection: PooledConnection) => void;
  #reject!: (reason: unknown) => void;
  #state: 'waiting' | 'settled' = 'waiting';

  /** `settled` is called when the wait is over, in whatever way. */
  constructor(signal: AbortSignal | undefined, trace: string | undefined, settled: () => void) {
    this.trace = trace;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#settled = settled;
    this.#ignoreSignal = signal && onAbort(signal, () => this.reject(signal.reason));
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
    this.#ignoreSignal?.();
    this.#settled();
    return true;
  }
}
