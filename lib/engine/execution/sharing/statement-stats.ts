import { LruCache } from '../../util/lru-cache.js';
import { clock } from '../../util/clock.js';
import { isPlainRead } from '../../statement/plain-read.js';

/** Samples that count. */
const WINDOW = 8;
const FEW = 3;
/**
 * A statement that took at most so many ms beyond a round trip counts as quick until a flight has told how
 * long the server takes; the first runs may have been planned, or have found a cold cache.
 */
const QUICK = 5;
const QUICK_AT_FIRST = 20;
/** How much the round trip of the pool follows statements that take longer than the quickest. */
const DRIFT = 0.01;

/** So many bytes of rows keep a connection for 1 ms; while they are read, the process does not wait. */
const BYTES_EACH_MS = 100_000;
/** What is left of the longest answer with each one after it. */
const FADING = 0.9;

/** The last times that count. */
class RecentTimes {
  /** Each takes the place of the one that was there {@link WINDOW} times before. */
  #times: number[] = [];
  #next = 0;
  count = 0;
  /** The shortest of a few, else the shortest but one: a busy machine only ever adds to a time. */
  short = 0;

  add(time: number): void {
    this.#times[this.#next] = time;
    this.#next = (this.#next + 1) % WINDOW;
    this.count = this.#times.length;
    let shortest = Infinity;
    let second = Infinity;
    // Once for each statement: an iterator, and a swap by an array, take twice the time.
    for (let index = 0; index < this.count; index += 1) {
      const one = this.#times[index] ?? Infinity;
      if (one < shortest) {
        second = shortest;
        shortest = one;
      } else if (one < second) second = one;
    }
    this.short = this.count > FEW ? second : shortest;
  }

  clear(): void {
    this.#times = [];
    this.#next = 0;
    this.count = 0;
    this.short = 0;
  }
}

/** When something was sent, or answered. */
export interface Moment {
  /** By {@link clock}. */
  readonly at: number;
  /** Milliseconds that this process had spent waiting for something to happen. */
  readonly waited: number;
  /** How often the event loop had been seen to go round. */
  readonly round: number;
}

/**
 * How long the answers of a pool take, also in a process that never waits: there an answer lies unread for a
 * while, but one that is not read when the event loop has gone round has not come. An answer to what was sent
 * in the present round begins the next one.
 */
class AnswerClock {
  #round = 0;
  /** When the present round began, and the two before it. */
  #present = 0;
  #last = 0;
  #lastButOne = 0;
  #roundTrip: number | undefined;

  moment(): Moment {
    // It stands still while the process is busy: an answer that lies unread does not count as a slow one.
    const performance = clock();
    const { nodeTiming } = performance as Partial<typeof performance>;
    const idle: unknown = nodeTiming?.idleTime;
    const at = performance.now();
    return { at, waited: typeof idle === 'number' ? idle : at, round: this.#round };
  }

  /** Milliseconds that the server has taken at least of those between `from` and `answered`. */
  between(sent: Moment, from: Moment, answered: Moment): number {
    if (sent.round === this.#round) {
      this.#round += 1;
      this.#lastButOne = this.#last;
      this.#last = this.#present;
      this.#present = answered.at;
    }
    // What had come in the round before the present one was read in it.
    return Math.max(answered.waited - from.waited, this.#lastButOne - from.at);
  }

  /**
   * Takes the ms that a statement took alone; gives the round trip: that of the quickest, slowly forgotten.
   */
  roundTrip(duration: number): number {
    const time = this.#roundTrip;
    this.#roundTrip =
      time === undefined || duration < time ? duration : time + DRIFT * (Math.min(duration, 2 * time) - time);
    return this.#roundTrip;
  }
}

/** What is known of the statements of one text: whether they only read, and how long the server takes. */
export class StatementStats {
  readonly isRead: boolean;
  readonly clock: AnswerClock;
  /** Between two answers of one flight: the server's time. */
  readonly #gaps = new RecentTimes();
  /** Of statements that were alone, less a round trip. */
  readonly #alone = new RecentTimes();
  /** Milliseconds that its longest answers take to be read. */
  #reading = 0;
  /** Milliseconds that the server takes; undefined before the first run. */
  serviceTime: number | undefined;

  constructor(text: string, answerClock: AnswerClock) {
    this.isRead = isPlainRead(text);
    this.clock = answerClock;
  }

  /** The answer had so many `bytes` of rows. */
  recordAlone(sent: Moment, answered: Moment, bytes?: number): void {
    const duration = this.clock.between(sent, sent, answered);
    this.#alone.add(Math.max(0, duration - this.clock.roundTrip(duration)));
    // It now takes less in all than it took the server: what was learned in a flight is out of date.
    if (this.#gaps.count > 0 && duration < this.#gaps.short / 2) this.#gaps.clear();
    this.#learn(bytes);
  }

  /** `before` is when the one in front of it was answered. */
  recordGap(sent: Moment, before: Moment, answered: Moment, bytes?: number): void {
    // It ran from the answer before its own; until then it stood in line.
    this.#gaps.add(this.clock.between(sent, before.at > sent.at ? before : sent, answered));
    this.#learn(bytes);
  }

  /** It has kept a connection for `duration` ms, and still does. */
  recordStuck(duration: number): void {
    this.#gaps.clear();
    this.#gaps.add(duration);
    this.#learn();
  }

  #learn(bytes = 0): void {
    this.#reading = Math.max(bytes / BYTES_EACH_MS, FADING * this.#reading);
    const { count, short } = this.#alone;
    const isQuick = short <= (count < FEW ? QUICK_AT_FIRST : QUICK);
    const time = this.#gaps.count > 0 ? this.#gaps.short : isQuick ? 0 : short;
    this.serviceTime = Math.max(time, this.#reading);
  }
}

/** What is known of the texts seen last. */
export class StatementStatsTable {
  readonly #byText: LruCache<string, StatementStats>;
  readonly #clock = new AnswerClock();

  constructor(limit: number) {
    this.#byText = new LruCache(limit);
  }

  of(text: string): StatementStats {
    const known = this.#byText.get(text);
    if (known !== undefined) return known;
    const stats = new StatementStats(text, this.#clock);
    this.#byText.set(text, stats);
    return stats;
  }
}
