import { lsnNumber } from './lsn.js';

/** How a token says a write without its place in the log, and one at a place. */
const TIME = /^at:(\d{1,15})$/;

/** True: the value is a token of `engine.consistencyToken()`, or empty. For what comes from outside. */
export function isConsistencyToken(text: unknown): text is string {
  return typeof text === 'string' && (text === '' || TIME.test(text) || lsnNumber(text) !== undefined);
}

/** Whether a unit of work has written, and where its last write stands in the log of the primary. */
export class WriteMark {
  #lsn: bigint | undefined;
  #text = '';
  /** When, by `Date.now()`. */
  #at: number | undefined;
  /** Something was written whose place is not known. */
  #isUnplaced = false;

  /** Undefined: no write is known. */
  get lsn(): bigint | undefined {
    return this.#lsn;
  }

  /** As PostgreSQL writes it. */
  get lsnText(): string {
    return this.#text;
  }

  get writtenAt(): number | undefined {
    return this.#at;
  }

  /** True: there is a write that no place in the log stands for. */
  get isUnplaced(): boolean {
    return this.#isUnplaced;
  }

  /** Something was written: up to `lsn`; undefined: the place is not known. */
  note(lsn: string | undefined, at = Date.now()): void {
    this.#at = Math.max(this.#at ?? 0, at);
    const number = lsnNumber(lsn);
    if (number === undefined || lsn === undefined) this.#isUnplaced = true;
    else if (this.#lsn === undefined || number > this.#lsn) [this.#lsn, this.#text] = [number, lsn];
  }

  /** Takes over what a token says. */
  take(token: string): void {
    const [, time] = TIME.exec(token) ?? [];
    if (time !== undefined) this.note(undefined, Number(time));
    else if (token !== '') this.note(token);
  }

  /** For another process; empty where nothing was written. */
  get token(): string {
    if (this.#isUnplaced || this.#lsn === undefined) return this.#at === undefined ? '' : `at:${this.#at}`;
    return this.#text;
  }
}
