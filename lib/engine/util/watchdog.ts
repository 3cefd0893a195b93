import { AsyncLocalStorage } from 'node:async_hooks';
import { runNextTurn, unref } from './clock.js';

/** What must end in time. */
interface Watched {
  readonly deadline: number;
  /** Called once, when it has not. */
  readonly expire: () => void;
}

/**
 * Sees to it that what was begun ends in time. All share one timer, which runs on when they end: a COMMIT
 * takes far less than its deadline, and to start and stop a timer for each costs more than the rest of it.
 */
export class Watchdog {
  readonly #watched = new Set<Watched>();
  #timer: NodeJS.Timeout | undefined;
  #due = Infinity;
  // The timer outlives the request in which it is started, and must not hold on to that one's async context.
  readonly #outsideOfRequests = AsyncLocalStorage.snapshot();

  /** Calls `expire` after `timeout` ms, unless the function that you get is called before. */
  watch(timeout: number, expire: () => void): () => void {
    const watched: Watched = { deadline: performance.now() + timeout, expire };
    this.#watched.add(watched);
    if (watched.deadline < this.#due) this.#outsideOfRequests(() => this.#arm(watched.deadline));
    return () => this.#watched.delete(watched);
  }

  #arm(due: number): void {
    clearTimeout(this.#timer);
    this.#due = due;
    if (due === Infinity) return;
    // What is watched keeps the process alive by itself. A timer may be early by a part of a millisecond.
    const delay = Math.max(1, Math.ceil(due - performance.now()) + 1);
    this.#timer = unref(setTimeout(() => this.#look(), delay));
  }

  #look(): void {
    const now = performance.now();
    for (const watched of this.#watched) {
      if (watched.deadline > now) continue;
      // A process that stood still has yet to read the answer that came.
      runNextTurn(() => {
        if (this.#watched.delete(watched)) watched.expire();
      });
    }
    let next = Infinity;
    for (const { deadline } of this.#watched) if (deadline > now) next = Math.min(next, deadline);
    this.#arm(next);
  }
}
