import type { CommandResult, Control } from './driver/driver.js';
import { DBAPIError } from './errors.js';
import type { Invocation } from './invocation.js';
import type { Pool, PooledConnection } from './pool/index.js';

/** Runs one invocation on a pooled connection of its own, outside every transaction: one checkout, one round trip. */
export async function runAutocommitted(
  pool: Pool,
  invocation: Invocation,
  control: readonly Control[],
  holding: () => readonly PooledConnection[],
): Promise<CommandResult> {
  const pooled = pool.tryConnect() ?? (await pool.connect({ holding: holding() }));
  try {
    return await invocation.run(pooled.session, control, undefined);
  } catch (error) {
    if (error instanceof DBAPIError && error.connectionInvalidated) {
      pool.invalidateAll(pooled);
      pooled.invalidate(error);
    }
    throw error;
  } finally {
    await pooled.close();
  }
}
