import { splitScript } from '../statement/split-script.js';
import { transactionCommandOf, type TransactionCommand } from '../statement/transaction-command.js';

/**
 * Finds the ends of transactions behind which another one has begun before the session is ready again, so
 * that its status looks as if nothing had happened.
 */
export class TransactionEnds {
  /** The flight in which a ROLLBACK was answered: before a BEGIN, it is not a ROLLBACK TO. */
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
  return commandsIn(script).some(
    (command) => command?.kind === 'commit' || command?.kind === 'rollback' || command?.kind === 'prepared',
  );
}

/** True: a ROLLBACK in `script` begins the next transaction. ROLLBACK TO SAVEPOINT has the same tag. */
function chains(script: string): boolean {
  if (!/\bCHAIN\b/i.test(script)) return false;
  return commandsIn(script).some((command) => command?.kind === 'rollback' && command.chains);
}

function commandsIn(script: string): (TransactionCommand | undefined)[] {
  return splitScript(script).map(({ words }) => transactionCommandOf(words));
}
