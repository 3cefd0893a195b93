import type { ConnectionTransactions } from '../transaction/connection-transactions.js';
import type { CommandResult, Control } from '../driver/driver.js';
import { normalizeIsolationLevel } from '../transaction/isolation.js';
import type { IsolationLevel } from '../transaction/isolation.js';

type Ask = (control: readonly Control[], deadline: AbortSignal | undefined) => Promise<CommandResult>;

/** The connection that is asked. */
export interface QuestionHost<Connection> {
  readonly transactions: ConnectionTransactions<Connection>;
  /** True: BEGIN says a level that the session itself does not have. */
  readonly hasOwnLevel: boolean;
  /** Runs `ask` outside of transactions. */
  between(ask: Ask): Promise<CommandResult>;
}

/**
 * Puts a question about levels where its answer is right: in the transaction in progress, or where the next
 * would be.
 */
export async function askIsolationLevel<Connection>(
  host: QuestionHost<Connection>,
  ask: Ask,
): Promise<IsolationLevel> {
  const { transactions, hasOwnLevel } = host;
  const current = transactions.current();
  if (current === undefined && !hasOwnLevel) return levelOf(await host.between(ask));
  if (current !== undefined)
    return levelOf(await current.execute((control) => ask(control, current.deadline)));
  // The level travels in BEGIN, so that only a transaction has it: this one is nobody's.
  const probe = transactions.queue();
  try {
    return levelOf(await probe.execute((control) => ask(control, probe.deadline)));
  } finally {
    await probe.rollback();
  }
}

function levelOf({ rows: [row] }: CommandResult): IsolationLevel {
  return normalizeIsolationLevel(String(Object.values(row ?? {})[0]));
}
