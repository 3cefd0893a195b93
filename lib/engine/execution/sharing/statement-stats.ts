import { LruCache } from '../../util/lru-cache.js';
import { AnswerClock } from './answer-clock.js';
import type { Moment } from './answer-clock.js';
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
    for (const one of this.#times) {
      if (one < shortest) [shortest, second] = [one, shortest];
      else if (one < second) second = one;
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

/** What is known of the statements of one text: whether they only read, and how long the server takes. */
export class StatementStats {
  readonly isRead: boolean;
  readonly #pool: RoundTrip;
  /** Between two answers of one flight: the server's time. */
  readonly #gaps = new RecentTimes();
  /** Of statements that were alone, less a round trip. */
  readonly #alone = new RecentTimes();
  /** Milliseconds that its longest answers take to be read. */
  #reading = 0;
  /** Milliseconds that the server takes; undefined before the first run. */
  serviceTime: number | undefined;

  constructor(text: string, pool: RoundTrip) {
    this.isRead = isPlainRead(text);
    this.#pool = pool;
  }

  moment(): Moment {
    return this.#pool.clock.moment();
  }

  /** The answer had so many `bytes` of rows. */
  recordAlone(sent: Moment, answered: Moment, bytes?: number): void {
    const duration = this.#timeOf(sent, sent, answered);
    this.#alone.add(Math.max(0, duration - this.#pool.record(duration)));
    // It now takes less in all than it took the server: what was learned in a flight is out of date.
    if (this.#gaps.count > 0 && duration < this.#gaps.short / 2) this.#gaps.clear();
    this.#learn(bytes);
  }

  /** `before` is when the one in front of it was answered. */
  recordGap(sent: Moment, before: Moment, answered: Moment, bytes?: number): void {
    // It ran from the answer before its own; until then it stood in line.
    this.#gaps.add(this.#timeOf(sent, before.at > sent.at ? before : sent, answered));
    this.#learn(bytes);
  }

  /** It has kept a connection for `duration` ms, and still does. */
  recordStuck(duration: number): void {
    this.#gaps.clear();
    this.#gaps.add(duration);
    this.#learn();
  }

  #timeOf(sent: Moment, from: Moment, answered: Moment): number {
    const { clock } = this.#pool;
    clock.noteAnswer(sent, answered);
    return clock.between(from, answered);
  }

  #learn(bytes = 0): void {
    this.#reading = Math.max(bytes / BYTES_EACH_MS, FADING * this.#reading);
    const { count, short } = this.#alone;
    const isQuick = short <= (count < FEW ? QUICK_AT_FIRST : QUICK);
    const time = this.#gaps.count > 0 ? this.#gaps.short : isQuick ? 0 : short;
    this.serviceTime = Math.max(time, this.#reading);
  }
}

/** The round trip of a pool: the quickest statement that was alone, slowly forgotten. */
class RoundTrip {
  readonly clock = new AnswerClock();
  #time: number | undefined;

  /** Takes the time of a statement in ms; gives the round trip. */
  record(duration: number): number {
    const time = this.#time;
    this.#time =
      time === undefined || duration < time ? duration : time + DRIFT * (Math.min(duration, 2 * time) - time);
    return this.#time;
  }
}

/** What is known of the texts seen last. */
export class StatementStatsTable {
  readonly #byText: LruCache<string, StatementStats>;
  readonly #roundTrip = new RoundTrip();

  constructor(limit: number) {
    this.#byText = new LruCache(limit);
  }

  of(text: string): StatementStats {
    const known = this.#byText.get(text);
    if (known !== undefined) return known;
    const stats = new StatementStats(text, this.#roundTrip);
    this.#byText.set(text, stats);
    return stats;
  }
}
