import { setTimeout as wait } from 'node:timers/promises';
import { ArgumentError, type AsyncEngine } from '../engine/index.js';
import type { DatabaseModuleOptions } from './shared/database-options.interface.js';
import { printable } from '../engine/util/logger.js';
import { nameAndReasonOf } from '../engine/errors/thrown.js';

/**
 * Opens one connection and gives it back to the pool. Tries again, with a line for each attempt, while the
 * database is not there and `closing` is not aborted. A wrong option does not heal, and is not tried again.
 */
export async function connectWithRetry(
  engine: AsyncEngine,
  name: string,
  options: DatabaseModuleOptions,
  closing: AbortSignal,
): Promise<void> {
  const { retryAttempts = 9, retryDelay = 3_000, toRetry = () => true, verboseRetryLog = false } = options;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const connection = await engine.connect();
      await connection.close();
      return;
    } catch (error) {
      if (attempt > retryAttempts || error instanceof ArgumentError || !toRetry(error)) throw error;
      const reason = verboseRetryLog ? ` ${printable(nameAndReasonOf(error))}` : '';
      engine.logger.error(
        `cannot connect to the database '${name}' (attempt ${attempt} of ${retryAttempts + 1}), ` +
          `next in ${retryDelay} ms.${reason}`,
        { logger: 'DatabaseModule', event: 'connectAttempt', attempt, error },
      );
      await wait(retryDelay, undefined, { signal: closing }).catch(() => undefined);
      if (closing.aborted) throw error;
    }
  }
}
