import { PoolTimeoutError, QueryCanceledError } from '../../engine/index.js';
import { Mutex } from '../../engine/util/mutex.js';

/** Lets one after the other through, in the order in which they came. */
export class TurnQueue {
  readonly #timeout: number;
  readonly #mutex = new Mutex();

  /** `timeout` in ms; 0: waits for as long as it takes. */
  constructor(timeout: number) {
    this.#timeout = timeout;
  }

  /**
   * Resolves to what ends the turn, to be called once.
   *
   * @throws PoolTimeoutError when the turn does not come in time, QueryCanceledError when `signal` is
   * aborted.
   */
  async take(signal?: AbortSignal): Promise<() => void> {
    try {
      await this.#mutex.acquire({ signal, timeout: this.#timeout, expired: () => this.#tooLong() });
    } catch (error) {
      if (error instanceof PoolTimeoutError) throw error;
      throw new QueryCanceledError('the statement was cancelled unsent.');
    }
    return () => this.#mutex.release();
  }

  #tooLong(): PoolTimeoutError {
    return new PoolTimeoutError(
      `this waited ${this.#timeout} ms for a transaction that is open beside it: in rollbackEach() all work of a test ` +
        `shares one connection and takes turns. End that transaction first, or test this in a suite without rollbackEach().`,
    );
  }
}
