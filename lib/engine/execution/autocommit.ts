import type { CommandResult, Control, DriverConnection } from '../driver/driver.js';
import { storedWithWarnings } from '../driver/stored-with-warnings.js';
import { classifyFailure, type ConnectionObserver } from './connection-observer.js';
import { IllegalStateError } from '../errors/errors.js';
import type { CommandObserver, CommandTarget, Invocation } from './invocation.js';
import type { Pool } from '../pool/pool.js';
import { onPresentPool } from '../pool/present-pool.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import type { WaitSignal } from '../util/wait-end.js';

/** What an engine's statement outside of transactions needs. */
export interface AutocommitHost {
  readonly pool: Pool;
  /** Undefined while nothing observes the engine. */
  engineObserver(): ConnectionObserver<unknown> | undefined;
  /** Waits for a connection on behalf of the caller and of the scope that it works in. */
  checkout(signal?: WaitSignal): Promise<PooledConnection>;
  /** What a statement is sent to in place of the session. */
  targetFor?(session: DriverConnection): CommandTarget;
}

/** Learns how long a statement takes that is alone on its connection. */
export interface ServiceTimes<Moment = unknown> {
  readonly clock: { moment(): Moment };
  recordAlone(sent: Moment, answered: Moment, bytes?: number): void;
}

/** How one autocommitted statement runs. */
export interface AutocommitOptions {
  /** Gets the time that the statement took; the wait for a connection says nothing about it. */
  readonly stats?: ServiceTimes | undefined;
  /** Ends the wait for a connection. */
  readonly signal?: AbortSignal | undefined;
}

/** What runs outside of transactions: an invocation, or one more run of a read. */
export interface Autocommitted extends Pick<Invocation, 'run' | 'wait'> {
  readonly observer: Pick<CommandObserver, 'failed' | 'isInterrupted'> | undefined;
}

/**
 * Runs one invocation on a pooled connection of its own, outside every transaction: one checkout, one round
 * trip.
 */
export async function runAutocommitted(
  host: AutocommitHost,
  invocation: Autocommitted,
  control: readonly Control[],
  { stats, signal }: AutocommitOptions = {},
): Promise<CommandResult> {
  const pooled = host.pool.tryConnect() ?? (await waitForConnection(host, invocation, signal));
  try {
    const { session } = pooled;
    const sent = stats?.clock.moment();
    const result = await invocation.run(host.targetFor?.(session) ?? session, control, undefined, session);
    if (sent !== undefined) stats?.recordAlone(sent, stats.clock.moment(), result.bytes);
    if (result.warnings !== undefined)
      host.pool.observer.warn('commit', storedWithWarnings('a list of statements', result.warnings));
    if (session.status !== 'idle' && pooled.isValid) throw insideAnotherTransaction();
    return result;
  } catch (error) {
    const { isDisconnect, invalidatesPool } = classifyFailure(
      error,
      invocation.observer ?? host.engineObserver(),
    );
    if (isDisconnect && invalidatesPool) host.pool.invalidateAll(pooled);
    if (isDisconnect || invocation.observer?.isInterrupted === true) pooled.invalidate(error);
    throw error;
  } finally {
    const returning = pooled.giveBack();
    if (returning !== undefined) await returning;
  }
}

/** For when no connection is free. Goes on with the next pool where the engine is disposed meanwhile. */
export async function waitForConnection(
  host: AutocommitHost,
  invocation: Pick<Autocommitted, 'wait'>,
  given?: AbortSignal,
): Promise<PooledConnection> {
  try {
    return await onPresentPool(host, () => invocation.wait((end) => host.checkout(end ?? given)));
  } catch (error) {
    throw host.engineObserver()?.connectFailed(error) ?? error;
  }
}

function insideAnotherTransaction(): IllegalStateError {
  return new IllegalStateError(
    'a statement outside of transactions ran in a transaction that was open on its session, and is rolled back with ' +
      'it. Look for a listener, or for code that uses the driver itself, that sends BEGIN.',
  );
}
