import type { ServerStatus } from '../../driver.js';

/** Ends a transaction and begins the next, under the tag that ROLLBACK TO SAVEPOINT has, too. */
const ROLLBACK_AND_CHAIN = /\b(?:ROLLBACK|ABORT)(?:\s+(?:WORK|TRANSACTION))?\s+AND\s+CHAIN\b/i;
const COMMENTS = /\/\*[^]*?\*\/|--[^\n]*/g;

/** What the server says of a session's transaction, which is written here alone. */
export class TransactionStatus {
  /** As of the last ReadyForQuery. */
  current: ServerStatus = 'idle';
  /**
   * How often one has ended: also where another one has begun before the session was ready again, so that the
   * status looks as if nothing had happened.
   */
  ends = 0;
  /** A ROLLBACK was answered since the session was last ready: before a BEGIN, it is no ROLLBACK TO. */
  #hasRolledBack = false;

  /** A command has succeeded; `text` is what it was sent with. */
  noteTag(tag: string, text: string | undefined): void {
    const isRollback = tag === 'ROLLBACK';
    const isSecond = this.#hasRolledBack && (tag === 'BEGIN' || tag === 'START TRANSACTION');
    if (tag === 'COMMIT' || isSecond || (isRollback && chains(text ?? ''))) this.ends += 1;
    if (isRollback) this.#hasRolledBack = true;
  }

  /** ReadyForQuery. */
  ready(status: ServerStatus): void {
    this.current = status;
    this.#hasRolledBack = false;
    if (status === 'idle') this.ends += 1;
  }
}

function chains(text: string): boolean {
  return ROLLBACK_AND_CHAIN.test(text.replace(COMMENTS, ' '));
}
