import { onAbort } from './on-abort.js';

/**
 * A fair lock: waiters get it in the order in which they came. It has no owner of its own; whoever acquired
 * it releases it once.
 */
export class Mutex {
  #held = false;
  readonly #waiters: (() => void)[] = [];

  get isHeld(): boolean {
    return this.#held;
  }

  /** Takes the lock if it is free and says so; the fast path that costs no promise. */
  tryAcquire(): boolean {
    if (this.#held) return false;
    this.#held = true;
    return true;
  }

  /**
   * Resolves when the lock is the caller's. With a signal, an aborted wait rejects and takes no place in the
   * queue.
   */
  acquire(signal?: AbortSignal): Promise<void> {
    if (this.tryAcquire()) return Promise.resolve();
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        ignore?.();
        reject(signal?.reason as Error);
      };
      const ignore = signal && onAbort(signal, aborted);
      const waiter = (): void => {
        ignore?.();
        resolve();
      };
      this.#waiters.push(waiter);
    });
  }

  release(): void {
    const next = this.#waiters.shift();
    if (next === undefined) this.#held = false;
    else next();
  }
}
