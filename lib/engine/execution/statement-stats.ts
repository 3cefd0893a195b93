import { LruCache } from '../util/lru-cache.js';
import { isPlainRead } from '../statement/plain-read.js';

/** Mean time of the statements that may share a connection, in milliseconds. */
const QUICK = 20;
/** What one run counts against all before it. */
const WEIGHT = 0.3;

/** What is known of the statements of one text: whether they only read, and how long they take. */
export class StatementStats {
  readonly isRead: boolean;
  #mean: number | undefined;

  constructor(text: string) {
    this.isRead = isPlainRead(text);
  }

  /** A read that has been quick so far, and has run at least once. */
  get isShareable(): boolean {
    return this.#mean !== undefined && this.#mean <= QUICK && this.isRead;
  }

  /** Takes the time of `run`. */
  async time<T>(run: () => Promise<T>): Promise<T> {
    const before = timeWaited();
    const result = await run();
    this.note(timeWaited() - before);
    return result;
  }

  note(duration: number): void {
    this.#mean = this.#mean === undefined ? duration : this.#mean + WEIGHT * (duration - this.#mean);
  }
}

/**
 * What a busy process keeps an answer lying for is no delay of the statement: the clock stands still
 * meanwhile, where there is such a clock.
 */
function timeWaited(): number {
  const { eventLoopUtilization } = performance as Partial<typeof performance>;
  return eventLoopUtilization === undefined ? performance.now() : eventLoopUtilization().idle;
}

/** The profiles of the texts seen last. */
export class StatementStatsTable {
  readonly #byText: LruCache<string, StatementStats>;

  constructor(limit: number) {
    this.#byText = new LruCache(limit);
  }

  of(text: string): StatementStats {
    const known = this.#byText.get(text);
    if (known !== undefined) return known;
    const profile = new StatementStats(text);
    this.#byText.set(text, profile);
    return profile;
  }
}
