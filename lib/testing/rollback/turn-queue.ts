import { PoolTimeoutError, QueryCanceledError } from '../../engine/index.js';

/** Lets one after the other through, in the order in which they came. */
export class TurnQueue {
  readonly #timeout: number;
  #tail: Promise<void> = Promise.resolve();

  /** `timeout` in ms; 0: waits for as long as it takes. */
  constructor(timeout: number) {
    this.#timeout = timeout;
  }

  /**
   * Resolves to what ends the turn.
   *
   * @throws PoolTimeoutError when the turn does not come in time.
   */
  async take(signal?: AbortSignal): Promise<() => void> {
    const before = this.#tail;
    let leave = (): void => undefined;
    const left = new Promise<void>((resolve) => {
      leave = resolve;
    });
    this.#tail = before.then(() => left);
    try {
      await this.#wait(before, signal);
    } catch (error) {
      leave();
      throw error;
    }
    return leave;
  }

  async #wait(before: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
    if (this.#timeout === 0 && signal === undefined) return await before;
    let stop = (): void => undefined;
    const given = new Promise<never>((_, reject) => {
      const onAbort = (): void => reject(new QueryCanceledError('the statement was cancelled unsent.'));
      const timer = this.#timeout > 0 ? setTimeout(() => reject(this.#tooLong()), this.#timeout) : undefined;
      signal?.addEventListener('abort', onAbort, { once: true });
      stop = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
    });
    try {
      await Promise.race([before, given]);
    } finally {
      stop();
    }
  }

  #tooLong(): PoolTimeoutError {
    return new PoolTimeoutError(
      `this waited ${this.#timeout} ms for a transaction that is open beside it: in rollbackEach() all work of a test ` +
        `shares one connection and takes turns. End that transaction first, or test this in a suite without rollbackEach().`,
    );
  }
}
