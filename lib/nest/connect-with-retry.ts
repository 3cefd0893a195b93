import { setTimeout as wait } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import type { AsyncEngine } from '../engine/index.js';
import type { DatabaseModuleOptions } from './shared/database-options.interface.js';

/**
 * Opens one connection and gives it back to the pool; tries again, with a line for each attempt, while the
 * database is not there.
 */
export async function connectWithRetry(
  engine: AsyncEngine,
  name: string,
  options: DatabaseModuleOptions,
): Promise<void> {
  const { retryAttempts = 9, retryDelay = 3_000, toRetry = () => true, verboseRetryLog = false } = options;
  const logger = new Logger('DatabaseModule');
  for (let attempt = 1; ; attempt += 1) {
    try {
      const connection = await engine.connect();
      await connection.close();
      return;
    } catch (error) {
      if (attempt > retryAttempts || !toRetry(error)) throw error;
      const reason = verboseRetryLog ? ` ${String(error)}` : '';
      logger.error(
        `Cannot connect to the database '${name}' (${attempt} of ${retryAttempts + 1} attempts), ` +
          `next in ${retryDelay} ms.${reason}`,
      );
      await wait(retryDelay);
    }
  }
}
