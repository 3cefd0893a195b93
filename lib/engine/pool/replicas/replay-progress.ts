/** Milliseconds for which a question without an answer keeps other reads from asking. */
const PATIENCE = 100;

/** A write that a read has to see. */
export interface AwaitedWrite {
  readonly lsn: bigint;
  /** Milliseconds since it was written, at least. */
  readonly age: number;
}

/** How far a replica is with the log of the primary, and how long writes take to it, as its answers tell. */
export class ReplayProgress {
  #reached = 0n;
  /** A write that is younger is not asked for: the replica is likely not to have it. In ms. */
  #delay = 0;
  /** When a read last asked for a write that the replica was not known to have. */
  #askedAt = -Infinity;

  /** All up to here is applied. */
  get reached(): bigint {
    return this.#reached;
  }

  /** True: a read may ask for it. `wait`: how many ms the server waits for a write; undefined: it can't. */
  mayHave({ lsn, age }: AwaitedWrite, wait: number | undefined): boolean {
    if (lsn <= this.#reached) return true;
    if (wait !== undefined) return age + wait >= this.#delay;
    // The answer to one read tells the others.
    return age >= this.#delay && performance.now() - this.#askedAt >= PATIENCE;
  }

  /** A read is about to ask for it. */
  asks({ lsn }: AwaitedWrite): void {
    if (lsn > this.#reached) this.#askedAt = performance.now();
  }

  /** It has applied all up to `lsn`. */
  reaches(lsn: bigint): void {
    this.#reached = lsn;
    this.#askedAt = -Infinity;
  }

  /** It did not have a write of this age. */
  misses(age: number, reached = 0n): void {
    this.reaches(reached);
    this.#delay = Math.max(this.#delay, 2 * age, 1);
  }

  /** It was examined, and has a write of this age. */
  has(age: number): void {
    this.#delay = Math.min(this.#delay, 2 * age);
  }
}
