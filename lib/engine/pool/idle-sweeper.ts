import type { ConnectionRecord } from './connection-record.js';
import { unref } from '../util/clock.js';

interface SweepOptions {
  /** Milliseconds after which an idle connection is closed. */
  readonly timeout: number;
  /** How many idle connections stay. */
  readonly keep: number;
  /** Ends a connection that was taken out of the idle ones. */
  close(record: ConnectionRecord): void;
}

/**
 * Closes connections that have been idle for too long: one timer for all of them, which does not keep the
 * process alive.
 */
export class IdleSweeper {
  readonly #idle: ConnectionRecord[];
  readonly #options: SweepOptions;
  #timer: NodeJS.Timeout | undefined;

  constructor(idle: ConnectionRecord[], options: SweepOptions) {
    this.#idle = idle;
    this.#options = options;
  }

  /** To be called when a connection was put at the end of the idle ones. */
  added(record: ConnectionRecord): void {
    record.markIdle(performance.now());
    if (this.#timer === undefined) this.#schedule();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #schedule(): void {
    // Records are appended as they come back, so the first is the one that has been idle longest.
    const first = this.#idle[0];
    if (first === undefined || this.#idle.length <= this.#options.keep) return;
    const remaining = first.idleSince + this.#options.timeout - performance.now();
    this.#timer = unref(setTimeout(() => this.#sweep(), Math.max(1, Math.ceil(remaining))));
  }

  #sweep(): void {
    this.#timer = undefined;
    const limit = performance.now() - this.#options.timeout;
    let record = this.#idle[0];
    while (record !== undefined && this.#idle.length > this.#options.keep && record.idleSince <= limit) {
      this.#idle.shift();
      this.#options.close(record);
      record = this.#idle[0];
    }
    this.#schedule();
  }
}
