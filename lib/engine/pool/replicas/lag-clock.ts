/** Milliseconds for which the primary's places are remembered at least. */
const MEMORY = 60_000;

interface Sample {
  /** By `performance.now()`. */
  readonly at: number;
  readonly lsn: bigint;
}

/** What the primary had written at which time: how far a place that a replica has reached lies back. */
export class LagClock {
  readonly #memory: number;
  #samples: Sample[] = [];

  constructor(maxLag: number) {
    this.#memory = Math.max(MEMORY, 2 * maxLag);
  }

  /** The primary has written up to `lsn`. */
  note(lsn: bigint, at = performance.now()): void {
    this.#samples = this.#samples.filter((sample) => sample.lsn <= lsn && at - sample.at < this.#memory);
    this.#samples.push({ at, lsn });
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
