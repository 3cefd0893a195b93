import type { Control } from '../driver/driver.js';
import { settingsControl } from '../transaction/isolation.js';
import { nestedControl, restoringControl } from '../transaction/nested-options.js';
import type { Transaction } from '../transaction/transaction.js';
import type { ConnectionSession } from './connection-session.js';

/** Below those of savepoints, which begin with 1. */
const DEPTH = 0;

/**
 * Sends one statement with `settings` of its own in front of it. In a transaction the outer values come back
 * with whatever is sent next; a failure of the server has undone them already.
 */
export async function sendWithSettings<T>(
  settings: Readonly<Record<string, string>>,
  session: ConnectionSession<unknown>,
  transaction: Transaction | undefined,
  send: (control: readonly Control[]) => Promise<T>,
): Promise<T> {
  if (transaction === undefined || transaction.isAutocommit) return await send(settingsControl({ settings }));
  let isSet = false;
  const acknowledged = (): void => {
    isSet = true;
  };
  const control = nestedControl({ settings }, DEPTH).map((each) => ({ ...each, acknowledged }));
  try {
    return await send(control);
  } finally {
    const restoring = restoringControl({ settings }, DEPTH, transaction.options);
    if (isSet && restoring !== undefined && session.server?.status === 'open') session.defer(restoring);
  }
}
