import { TransactionTimeoutError } from '../errors/errors.js';

/** What a deadline ends. */
export interface Limited {
  /** Where it was begun. */
  origin(): string;
  /** Called once, when the time has passed and the signal is aborted. */
  expire(reason: TransactionTimeoutError): void;
}

/** The end of a transaction's time, whatever its work is waiting for. */
export class Deadline {
  /** Aborted, with the error that says so, when the time has passed; also when that of `outer` has. */
  readonly signal: AbortSignal;
  readonly #timer: NodeJS.Timeout;

  /** `timeout` in ms. */
  constructor(timeout: number, limited: Limited, outer?: AbortSignal) {
    const controller = new AbortController();
    this.signal = outer === undefined ? controller.signal : AbortSignal.any([outer, controller.signal]);
    this.#timer = setTimeout(() => {
      const reason = new TransactionTimeoutError(
        `the transaction begun at ${limited.origin()} took longer than its timeout of ${timeout} ms and is rolled back.`,
      );
      controller.abort(reason);
      limited.expire(reason);
    }, timeout);
    this.#timer.unref();
  }

  /** The transaction has ended. */
  clear(): void {
    clearTimeout(this.#timer);
  }
}
