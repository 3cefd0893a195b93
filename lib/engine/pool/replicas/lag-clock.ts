/** Answers overtake each other for less than this, in ms. */
const OVERTAKING = 500;

interface Sample {
  /** By `performance.now()`. */
  readonly at: number;
  readonly lsn: bigint;
}

/** How long places are remembered, and how far apart they are at least; in ms. */
interface ClockOptions {
  readonly memory: number;
  readonly resolution: number;
}

/** What the primary had written at which time: how far a place that a replica has reached lies back. */
export class LagClock {
  readonly #options: ClockOptions;
  readonly #samples: Sample[] = [];

  constructor(options: ClockOptions) {
    this.#options = options;
  }

  /** The primary has written up to `lsn`. */
  note(lsn: bigint, at = performance.now()): void {
    const samples = this.#samples;
    const { memory, resolution } = this.#options;
    while (at - (samples[0]?.at ?? at) >= memory) samples.shift();
    const last = samples.at(-1);
    if (last !== undefined && lsn < last.lsn && at - last.at < OVERTAKING) return;
    // A standby that was promoted may go on at a place before.
    while ((samples.at(-1)?.lsn ?? 0n) > lsn) samples.pop();
    const newest = samples.at(-1);
    if (newest === undefined || at - newest.at >= resolution) samples.push({ at, lsn });
    else samples[samples.length - 1] = { at: newest.at, lsn };
  }

  /** For how many ms the primary has had what is at `lsn`, at least; 0 where that is not known. */
  ageOf(lsn: bigint): number {
    const before = this.#samples.findLastIndex((sample) => sample.lsn < lsn);
    const first = this.#samples[before + 1];
    return first === undefined ? 0 : performance.now() - first.at;
  }

  /** For how many ms it has had the newest place up to `lsn`; Infinity where none is known. */
  ageUpTo(lsn: bigint): number {
    const newest = this.#samples.findLast((sample) => sample.lsn <= lsn);
    return newest === undefined ? Infinity : this.ageOf(newest.lsn);
  }

  /**
   * How many milliseconds the primary has written on since it was at `lsn`; undefined while nothing is known
   * of the primary, Infinity where that is longer ago than what is. The time in which the primary can't be
   * asked does not count: nothing says that it writes.
   */
  lagOf(lsn: bigint): number | undefined {
    const newest = this.#samples.at(-1);
    if (newest === undefined) return undefined;
    const reached = this.#samples.findLast((sample) => sample.lsn <= lsn);
    return reached === undefined ? Infinity : newest.at - reached.at;
  }
}
