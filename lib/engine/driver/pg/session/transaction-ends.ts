import type { ServerStatus } from '../../driver.js';

/** Ends a transaction and begins the next, under the tag that ROLLBACK TO SAVEPOINT has, too. */
const ROLLBACK_AND_CHAIN = /\b(?:ROLLBACK|ABORT)(?:\s+(?:WORK|TRANSACTION))?\s+AND\s+CHAIN\b/i;
const COMMENTS = /\/\*[^]*?\*\/|--[^\n]*/g;

/**
 * Counts the ends of a session's transactions by what the server answers: also those behind which another one
 * has begun before the session is ready again, so that its status looks as if nothing had happened.
 */
export class TransactionEnds {
  #count = 0;
  /** A ROLLBACK was answered since the session was last ready: before a BEGIN, it is no ROLLBACK TO. */
  #hasRolledBack = false;

  get count(): number {
    return this.#count;
  }

  /** A command has succeeded; `text` is what it was sent with. */
  noteTag(tag: string, text: string | undefined): void {
    const isRollback = tag === 'ROLLBACK';
    const isSecond = this.#hasRolledBack && (tag === 'BEGIN' || tag === 'START TRANSACTION');
    if (tag === 'COMMIT' || isSecond || (isRollback && chains(text ?? ''))) this.#count += 1;
    if (isRollback) this.#hasRolledBack = true;
  }

  /** ReadyForQuery. */
  ready(status: ServerStatus): void {
    this.#hasRolledBack = false;
    if (status === 'idle') this.#count += 1;
  }
}

function chains(text: string): boolean {
  return ROLLBACK_AND_CHAIN.test(text.replace(COMMENTS, ' '));
}
