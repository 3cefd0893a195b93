import { startLimit } from '../util/clock.js';
import { onAbort } from '../util/on-abort.js';
import { QueryCanceledError } from '../errors/server-errors.js';
import { withoutFrames } from '../errors/without-frames.js';
import { WaitEnd } from '../util/wait-end.js';
import { LONGEST_TIMER } from '../util/option-rule.js';

/**
 * The `timeout` and the `signal` of one statement while it waits for its connection: once it is sent, the
 * driver has them.
 */
export class StatementTimeout {
  readonly #timeout: number | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #calledAt = performance.now();
  #stopWatching: (() => void) | undefined;

  /** `timeout` in ms, counted from here on. */
  constructor(timeout: number | undefined, signal: AbortSignal | undefined) {
    this.#timeout = timeout;
    this.#signal = signal;
  }

  /** Milliseconds; undefined: no limit. */
  get timeLeft(): number | undefined {
    if (this.#timeout === undefined) return undefined;
    return Math.max(0, this.#timeout - (performance.now() - this.#calledAt));
  }

  /** Runs `work` with what ends its wait; one wait at a time. */
  async during<T>(work: (end: WaitEnd) => Promise<T>): Promise<T> {
    this.end();
    const end = new WaitEnd();
    this.#watch((reason, cause) => end.abort(cancelledWaiting(reason, cause)));
    try {
      return await work(end);
    } finally {
      this.end();
    }
  }

  /** The wait is over: what runs now is ended by others. */
  end(): void {
    this.#stopWatching?.();
    this.#stopWatching = undefined;
  }

  #watch(stop: (reason: string, cause?: unknown) => void): void {
    const signal = this.#signal;
    const aborted = (): void => stop('its signal was aborted', signal?.reason);
    if (signal?.aborted === true) return aborted();
    const ignore = signal && onAbort(signal, aborted);
    const time = this.timeLeft ?? Infinity;
    const expire = (): void => stop(`its timeout of ${this.#timeout} ms has passed`);
    const timer = time > LONGEST_TIMER ? undefined : startLimit(expire, time);
    this.#stopWatching = () => {
      clearTimeout(timer);
      ignore?.();
    };
  }
}

function cancelledWaiting(reason: string, cause: unknown): QueryCanceledError {
  const make = (): QueryCanceledError =>
    new QueryCanceledError(
      `the statement was cancelled while it waited for a connection: ${reason}. Nothing of it was sent.`,
      cause === undefined ? undefined : { cause },
    );
  // An error that is the cause says where the signal was aborted.
  return cause === undefined || cause instanceof Error ? withoutFrames(make) : make();
}
