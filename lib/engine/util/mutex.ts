import { startLimit } from './clock.js';
import { onAbort } from './on-abort.js';

/** What ends a wait for a {@link Mutex} before its turn has come. */
interface MutexWait {
  /** An aborted signal rejects the wait with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds; 0 and undefined: no limit. */
  readonly timeout?: number | undefined;
  /** What the wait rejects with when its time is over. */
  readonly expired?: (() => Error) | undefined;
}

/** A fair lock: waiters get it in the order in which they came. A holder releases it once. */
export class Mutex {
  #held = false;
  /** Made with the first of them. */
  #waiters: Set<() => void> | undefined;

  get isHeld(): boolean {
    return this.#held;
  }

  /** Takes the lock if it is free and says so; the fast path that costs no promise. */
  tryAcquire(): boolean {
    if (this.#held) return false;
    this.#held = true;
    return true;
  }

  /** Resolves when the lock is the caller's. A wait that was ended takes no place in the queue. */
  acquire({ signal, timeout = 0, expired }: MutexWait = {}): Promise<void> {
    if (this.tryAcquire()) return Promise.resolve();
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    const waiters = (this.#waiters ??= new Set());
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        waiters.delete(grant);
        ignore?.();
        clearTimeout(timer);
      };
      const grant = (): void => {
        leave();
        resolve();
      };
      const fail = (reason: unknown): void => {
        leave();
        reject(reason);
      };
      const ignore = signal && onAbort(signal, () => fail(signal.reason));
      const timer = timeout > 0 ? startLimit(() => fail(expired?.()), timeout) : undefined;
      waiters.add(grant);
    });
  }

  release(): void {
    if (this.#waiters === undefined || this.#waiters.size === 0) {
      this.#held = false;
      return;
    }
    const [next] = this.#waiters;
    next?.();
  }
}
