import type { RowStream } from './row-stream.js';

/** An element in a box: the element itself may be undefined or null. */
export interface Found<T> {
  readonly value: T;
}

/**
 * The iterator of a loop over a stream. Leaving the loop closes the stream at once: a generator would first
 * wait for the fetch that is pending.
 */
export class PullIterator<T> implements AsyncIterableIterator<T, undefined> {
  readonly #stream: RowStream;
  readonly #pull: () => Promise<Found<T> | undefined>;
  readonly #takeAtHand: (() => Found<T> | undefined) | undefined;
  #state: 'running' | 'left' = 'running';

  /** `takeAtHand`, where there is one, is asked before `pull` and spares it a promise or two per element. */
  constructor(
    stream: RowStream,
    pull: () => Promise<Found<T> | undefined>,
    takeAtHand?: () => Found<T> | undefined,
  ) {
    this.#stream = stream;
    this.#pull = pull;
    this.#takeAtHand = takeAtHand;
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    if (this.#hasLeft()) return { done: true, value: undefined };
    try {
      const found = this.#takeAtHand?.() ?? (await this.#pull());
      return found === undefined ? { done: true, value: undefined } : { done: false, value: found.value };
    } catch (error) {
      // Asked for before return() and overtaken by it: that is the end of the loop and no failure.
      if (this.#hasLeft()) return { done: true, value: undefined };
      await this.#stream.close(error);
      throw error;
    }
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    this.#state = 'left';
    await this.#stream.close();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  // A question of its own, so that the compiler does not take the answer before an await for the one after
  // it.
  #hasLeft(): boolean {
    return this.#state === 'left';
  }
}
