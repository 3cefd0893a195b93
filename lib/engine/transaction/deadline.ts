import { TransactionTimeoutError } from '../errors/errors.js';

/** The end of a transaction's time, whatever its work is waiting for. */
export class Deadline {
  /** Aborted, with the error that says so, when the time has passed; also when that of `outer` has. */
  readonly signal: AbortSignal;
  readonly #timer: NodeJS.Timeout;

  /** `timeout` in ms; `expire` is called once, when it has passed and the signal is aborted. */
  constructor(timeout: number, origin: () => string, expire: () => void, outer?: AbortSignal) {
    const controller = new AbortController();
    this.signal = outer === undefined ? controller.signal : AbortSignal.any([outer, controller.signal]);
    this.#timer = setTimeout(() => {
      controller.abort(
        new TransactionTimeoutError(
          `the transaction started at ${origin()} took longer than its timeout of ${timeout} ms and is rolled back.`,
        ),
      );
      expire();
    }, timeout);
    this.#timer.unref();
  }

  /** The transaction has ended. */
  clear(): void {
    clearTimeout(this.#timer);
  }
}
