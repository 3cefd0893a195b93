import { AsyncLocalStorage } from 'node:async_hooks';
import { withoutFrames } from '../errors/without-frames.js';
import { startLimit } from '../util/clock.js';

/** A caller whose time is limited. Times in ms. */
interface LimitedWait {
  readonly joinedAt: number;
  /** 0: no limit. */
  readonly timeout: number;
  reject(reason: unknown): void;
}

/**
 * Ends waits whose time is over, with one timer for all of a line: to start and stop one for each takes
 * longer than most of them wait, and as much memory as the rest of a waiter.
 */
export class WaitLimits {
  readonly #waits: Iterable<LimitedWait>;
  readonly #expired: (timeout: number) => Error;
  #timer: NodeJS.Timeout | undefined;
  /** When it fires. */
  #due = Infinity;
  /** The limit of all that have one; then they end in the order in which they came. */
  #limit: number | 'mixed' | undefined;
  // It outlives the request in which it is started.
  readonly #outsideOfRequests = AsyncLocalStorage.snapshot();

  /** `waits`: those of the line, in the order in which they joined it. */
  constructor(waits: Iterable<LimitedWait>, expired: (timeout: number) => Error) {
    this.#waits = waits;
    this.#expired = expired;
  }

  /** One with a limit has joined. */
  add({ joinedAt, timeout }: LimitedWait): void {
    this.#limit = this.#limit === undefined || this.#limit === timeout ? timeout : 'mixed';
    const end = joinedAt + timeout;
    if (end < this.#due) this.#outsideOfRequests(() => this.#arm(end));
  }

  /** The line is empty: nothing keeps the process alive. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#due = Infinity;
    this.#limit = undefined;
  }

  #arm(due: number): void {
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = startLimit(() => this.#look(due), Math.max(1, Math.ceil(due - performance.now())));
  }

  /** A timer may be early by a part of a millisecond: what it was started for is over all the same. */
  #look(due: number): void {
    const now = Math.max(due, performance.now());
    this.#due = Infinity;
    let next = Infinity;
    for (const wait of this.#waits) {
      if (wait.timeout === 0) continue;
      const end = wait.joinedAt + wait.timeout;
      if (end <= now) wait.reject(withoutFrames(() => this.#expired(wait.timeout)));
      else next = Math.min(next, end);
      if (next !== Infinity && this.#limit !== 'mixed') break;
    }
    if (next < this.#due) this.#arm(next);
  }
}
