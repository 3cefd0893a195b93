import { PoolOverloadError } from '../errors/errors.js';
import type { WaitingLine } from './waiting-line.js';
import { unref } from '../util/clock.js';

/** What overload control needs of its pool. Times in ms. */
interface OverloadOptions {
  readonly target: number;
  readonly interval: number;
  status(): string;
  warn(message: string): void;
  outsideOfRequests<T>(work: () => T): T;
}

/**
 * CoDel, as Elixir's db_connection has it: when even the shortest wait of an interval was longer than the
 * target, the line does not drain by itself. Then callers that have waited for twice the target are refused,
 * and the newest are served first: they can still be served in time.
 */
export class OverloadControl {
  readonly #line: WaitingLine;
  readonly #options: OverloadOptions;
  #shortest = Infinity;
  /** In this interval. A line from which callers were taken looks short, and would not be without that. */
  #hasRefused = false;
  #intervalEnd = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(line: WaitingLine, options: OverloadOptions) {
    this.#line = line;
    this.#options = options;
  }

  /** A connection is about to be lent: to the first in line, or to a caller that need not wait. */
  lending(): void {
    const now = performance.now();
    const waited = this.#waitOfOldest(now) ?? 0;
    this.#endInterval(now);
    this.#shortest = Math.min(this.#shortest, waited);
    this.#refuse(now);
  }

  /** A caller has come to wait. */
  joined(): void {
    if (this.#timer === undefined) this.#lookLater(performance.now());
  }

  #waitOfOldest(now: number): number | undefined {
    const oldest = this.#line.first;
    return oldest && now - oldest.joinedAt;
  }

  #endInterval(now: number): void {
    const { target, interval } = this.#options;
    if (now < this.#intervalEnd) return;
    // Where nothing was lent, the caller that waits tells; an interval long ago tells nothing.
    const shortest = this.#shortest === Infinity ? (this.#waitOfOldest(now) ?? 0) : this.#shortest;
    const isOver = now < this.#intervalEnd + interval && (shortest > target || this.#hasRefused);
    if (isOver && !this.#line.servesNewest)
      this.#options.warn(this.#describe('callers who wait twice as long are refused.'));
    this.#line.servesNewest = isOver;
    this.#shortest = Infinity;
    this.#hasRefused = false;
    this.#intervalEnd = now + interval;
    clearTimeout(this.#timer);
    this.#lookLater(now);
  }

  #refuse(now: number): void {
    if (!this.#line.servesNewest) return;
    const limit = 2 * this.#options.target;
    for (let oldest = this.#line.first; oldest !== undefined; oldest = this.#line.first) {
      if (now - oldest.joinedAt <= limit) return;
      this.#hasRefused = true;
      oldest.reject(
        new PoolOverloadError(this.#describe('this one was refused. Nothing was sent: try again later.')),
      );
    }
  }

  #describe(what: string): string {
    const { target, interval } = this.#options;
    return (
      `the pool is overloaded (${this.#options.status()}): for ${interval} ms each checkout has waited longer than ` +
      `poolQueueTarget, which is ${target} ms, so that ${what}`
    );
  }

  /** Callers are refused on time, and intervals end, also while no connection comes back. */
  #lookLater(now: number): void {
    const refusal = this.#line.servesNewest
      ? (this.#line.first?.joinedAt ?? now) + 2 * this.#options.target
      : Infinity;
    const delay = Math.max(1, Math.ceil(Math.min(refusal, this.#intervalEnd) - now) + 1);
    const look = (): void => {
      this.#timer = undefined;
      if (this.#line.size === 0) return;
      const later = performance.now();
      this.#endInterval(later);
      this.#refuse(later);
      if (this.#line.size > 0) this.#lookLater(later);
    };
    this.#timer = this.#options.outsideOfRequests(() => unref(setTimeout(look, delay)));
  }
}
