/** What is taken at once from the system. */
export const SLAB = 16_384;
/** Less room is not worth being kept. */
const LEAST_ROOM = 1_024;
/** How many are kept: so many sessions write at the same time, mostly one. */
const MOST_SLABS = 8;

/** Memory for messages, which the sessions of an engine hand on: each has some only while it writes. */
export class MessageMemory {
  readonly #slabs: Buffer[] = [];
  /** Where the room of each begins: what is in front of it the socket may still have to send. */
  readonly #starts: number[] = [];
  /** Where the room begins in what `take()` has given last; changed here alone. */
  start = 0;

  /** Memory with room for `size` bytes behind `start`. */
  take(size: number): Buffer {
    const bytes = this.#slabs.pop();
    this.start = this.#starts.pop() ?? 0;
    if (bytes !== undefined && bytes.length - this.start >= size) return bytes;
    this.start = 0;
    return Buffer.allocUnsafeSlow(Math.max(SLAB, size));
  }

  /** Takes back what is behind `start`. What one large batch needed is not kept for small ones. */
  giveBack(bytes: Buffer, start: number): void {
    const isKept = bytes.length === SLAB && SLAB - start >= LEAST_ROOM && this.#slabs.length < MOST_SLABS;
    if (!isKept) return;
    this.#slabs.push(bytes);
    this.#starts.push(start);
  }
}
