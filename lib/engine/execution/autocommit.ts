import type { CommandResult, Control } from '../driver/driver.js';
import { classifyFailure } from './connection-observer.js';
import type { Invocation } from './invocation.js';
import type { Pool } from '../pool/pool.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import type { StatementStats } from './statement-stats.js';
import type { ConnectionObserver } from './connection-observer.js';

/** What an engine's statement outside of transactions needs. */
export interface AutocommitHost {
  readonly pool: Pool;
  /** Who wants to know of it; undefined: nobody. */
  engineObserver(): ConnectionObserver<unknown> | undefined;
  /** Connections that transactions around the caller hold while he waits for another one. */
  holding(): readonly PooledConnection[];
}

/**
 * Runs one invocation on a pooled connection of its own, outside every transaction: one checkout, one round
 * trip. `profile` is told how long the statement took; the wait for a connection says nothing of it.
 */
export async function runAutocommitted(
  host: AutocommitHost,
  invocation: Invocation,
  control: readonly Control[],
  profile?: StatementStats,
): Promise<CommandResult> {
  const { pool } = host;
  const pooled = pool.tryConnect() ?? (await waitForConnection(host, invocation));
  try {
    const run = (): Promise<CommandResult> => invocation.run(pooled.session, control, undefined);
    return await (profile?.time(run) ?? run());
  } catch (error) {
    const { isDisconnect, invalidatesPool } =
      invocation.observer?.failure ?? classifyFailure(error, host.engineObserver());
    if (isDisconnect && invalidatesPool) pool.invalidateAll(pooled);
    if (isDisconnect || invocation.observer?.isInterrupted === true) pooled.invalidate(error);
    throw error;
  } finally {
    await pooled.close();
  }
}

/** For when none is free. */
export async function waitForConnection(
  host: AutocommitHost,
  invocation: Invocation,
): Promise<PooledConnection> {
  try {
    return await invocation.wait((signal) => host.pool.connect({ holding: host.holding(), signal }));
  } catch (error) {
    throw host.engineObserver()?.connectFailed(error) ?? error;
  }
}
