import type { Control } from '../../engine/index.js';

/**
 * A read-only transaction of the application. It has nothing to undo, so each of its statements has a
 * savepoint of its own and others may write between two of them: a stream and the work on its rows go on side
 * by side.
 */
export class ReadOnlyTransaction {
  /** What must be in front of each of its statements. */
  readonly preamble: readonly Control[];
  #status: 'open' | 'failed' = 'open';

  constructor(preamble: readonly Control[]) {
    this.preamble = preamble;
  }

  get status(): 'open' | 'failed' {
    return this.#status;
  }

  fail(): void {
    this.#status = 'failed';
  }

  /** A savepoint of the application was gone back to. */
  recover(): void {
    this.#status = 'open';
  }
}
