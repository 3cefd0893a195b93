import type { ConnectionCore, Dispatched } from './connection-core.js';
import type { CommandResult } from '../driver/driver.js';
import { normalizeIsolationLevel, type IsolationLevel } from '../transaction/isolation.js';

/** The level of the transaction in progress, else of the next. */
export async function askIsolationLevel<Connection>(
  core: ConnectionCore<Connection>,
): Promise<IsolationLevel> {
  await core.settle();
  return levelOf(await ask(core, 'SHOW transaction_isolation', core.options.hasOwnLevel));
}

/** The level of transactions that say nothing of their own. */
export async function askDefaultIsolationLevel<Connection>(
  core: ConnectionCore<Connection>,
): Promise<IsolationLevel> {
  await core.settle();
  return levelOf(await ask(core, 'SHOW default_transaction_isolation', false));
}

/** Asks where the answer is right. */
async function ask<Connection>(
  core: ConnectionCore<Connection>,
  text: string,
  isInBegin: boolean,
): Promise<CommandResult> {
  const { transactions } = core;
  const question = core.invocationOf({ text });
  const send: Dispatched<CommandResult> = (control, deadline) =>
    question.run(core.session, control, deadline);
  const current = transactions.current();
  if (current !== undefined) return await current.execute((control) => send(control, current.deadline));
  if (!isInBegin) return await core.between(send);
  // The level travels in BEGIN, so that only a transaction has it: one that is begun to be asked.
  const probe = transactions.enqueue();
  try {
    return await probe.execute((control) => send(control, probe.deadline));
  } finally {
    await probe.rollback();
  }
}

function levelOf({ rows: [row] }: CommandResult): IsolationLevel {
  return normalizeIsolationLevel(String(Object.values(row ?? {})[0]));
}
