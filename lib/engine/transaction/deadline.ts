import { startLimit, unref } from '../util/clock.js';
import { TransactionTimeoutError } from '../errors/errors.js';
import { onAbort } from '../util/on-abort.js';

/** What has a time, and perhaps less than that around it. */
interface Timed {
  readonly origin: string;
  readonly parent: { readonly deadline: AbortSignal | undefined } | undefined;
}

/** The end of a transaction's time, whatever its work is waiting for. */
export class Deadline {
  /** Aborted, with the error that says so, when the time has passed; also when that around it has. */
  readonly signal: AbortSignal;
  readonly #timer: NodeJS.Timeout;

  /**
   * `timeout` in ms, 0: the signal is aborted from the start; `expire` is called once, when it has passed and
   * the signal is aborted.
   */
  constructor(timeout: number, timed: Timed, expire: () => void) {
    const controller = new AbortController();
    const outer = timed.parent?.deadline;
    this.signal = outer === undefined ? controller.signal : AbortSignal.any([outer, controller.signal]);
    const abort = (): void =>
      controller.abort(
        new TransactionTimeoutError(
          `the transaction started at ${timed.origin} took longer than its timeout of ${timeout} ms and is rolled back.`,
        ),
      );
    if (timeout === 0) abort();
    this.#timer = startLimit(() => {
      abort();
      expire();
    }, timeout);
    unref(this.#timer);
  }

  /** The transaction has ended. */
  clear(): void {
    clearTimeout(this.#timer);
  }
}

/** Aborted when one of both is. */
export function eitherSignal(
  first: AbortSignal | undefined,
  second: AbortSignal | undefined,
): AbortSignal | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  return AbortSignal.any([first, second]);
}

/**
 * What `work` gives; once `signal` is aborted, its reason as soon as `undo` has ended, whatever `work` does.
 * `work` is not called where the signal is aborted already.
 */
export function untilAborted<T>(
  signal: AbortSignal,
  work: () => Promise<T>,
  undo: () => Promise<void> | undefined,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const end = (): void => void Promise.resolve(undo()).then(() => reject(signal.reason as Error));
    if (signal.aborted) return end();
    const forget = onAbort(signal, end);
    // Work that is not an async function may give no promise.
    Promise.resolve(work()).then(resolve, reject).finally(forget);
  });
}
