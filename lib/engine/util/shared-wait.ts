import { onAbort } from './on-abort.js';

/** One wait of several callers: each may give it up for itself, and the last one that does ends it. */
export class SharedWait {
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;
  #callers = 0;

  /** `work` begins at once; its signal is aborted when no caller is left. */
  constructor(work: (signal: AbortSignal) => Promise<void>) {
    this.#done = work(this.#abort.signal);
    this.#done.catch(() => undefined);
  }

  /** True: it was ended, and a new caller needs a new one. */
  get isEnded(): boolean {
    return this.#abort.signal.aborted;
  }

  /** Resolves or rejects with the work, or rejects with the reason of `signal`. */
  join(signal?: AbortSignal): Promise<void> {
    this.#callers += 1;
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#callers -= 1;
        reject(signal?.reason as Error);
        if (this.#callers === 0) this.end(signal?.reason);
      };
      if (signal?.aborted === true) return leave();
      const forget = signal && onAbort(signal, leave);
      this.#done.then(resolve, reject).finally(forget);
    });
  }

  /** Ends the work: its callers are rejected with `reason`. */
  end(reason: unknown): void {
    this.#abort.abort(reason);
  }
}
