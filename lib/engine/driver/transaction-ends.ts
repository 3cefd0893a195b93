import { splitScript } from '../statement/split-script.js';
import { transactionCommandOf } from '../statement/transaction-command.js';

/** Ends a transaction and begins the next, under the tag that ROLLBACK TO SAVEPOINT has, too. */
const ROLLBACK_AND_CHAIN = /\b(?:ROLLBACK|ABORT)(?:\s+(?:WORK|TRANSACTION))?\s+AND\s+CHAIN\b/i;
const COMMENTS = /\/\*[^]*?\*\/|--[^\n]*/g;

/**
 * Finds the ends of transactions behind which another one has begun before the session is ready again, so
 * that its status looks as if nothing had happened.
 */
export class TransactionEnds {
  /** The flight in which a ROLLBACK was answered: before a BEGIN, it is no ROLLBACK TO. */
  #rolledBackIn = 0;

  /** True: the command that was answered has ended one; `text` is what it was sent with. */
  isEnd(tag: string, text: string | undefined, flight: number): boolean {
    const isRollback = tag === 'ROLLBACK';
    const isSecond = this.#rolledBackIn === flight && (tag === 'BEGIN' || tag === 'START TRANSACTION');
    if (isRollback) this.#rolledBackIn = flight;
    return tag === 'COMMIT' || isSecond || (isRollback && chains(text ?? ''));
  }
}

/** True: one of the statements of `script` ends a transaction. */
export function endsTransaction(script: string): boolean {
  const kinds = splitScript(script).map(({ words }) => transactionCommandOf(words)?.kind);
  return kinds.some((kind) => kind === 'commit' || kind === 'rollback' || kind === 'prepared');
}

function chains(text: string): boolean {
  return ROLLBACK_AND_CHAIN.test(text.replace(COMMENTS, ' '));
}
