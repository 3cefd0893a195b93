import { onAbort } from '../util/on-abort.js';
import { WaitEnd } from '../util/wait-end.js';

/** One wait of several callers: each may give it up for itself, and the last one that does ends it. */
export class SharedWait {
  readonly #end = new WaitEnd();
  readonly #done: Promise<void>;
  #callers = 0;

  /** `work` begins at once; its end is aborted when no caller is left. */
  constructor(work: (end: WaitEnd) => Promise<void>) {
    this.#done = work(this.#end);
  }

  /** True: it was ended, and a new caller needs a new one. */
  get isEnded(): boolean {
    return this.#end.aborted;
  }

  /** Resolves or rejects with the work, or rejects with the reason of `signal`. */
  join(signal?: AbortSignal): Promise<void> {
    this.#callers += 1;
    if (signal === undefined) return this.#done;
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#callers -= 1;
        reject(signal.reason as Error);
        if (this.#callers === 0) this.end(signal.reason);
      };
      const forget = signal.aborted ? undefined : onAbort(signal, leave);
      if (signal.aborted) leave();
      this.#done.then(resolve, reject).finally(forget);
    });
  }

  /** Ends the work: its callers are rejected with `reason`. */
  end(reason: unknown): void {
    this.#end.abort(reason);
  }
}
