import { startLimit } from '../util/clock.js';
import { onSessionLost } from '../driver/session-loss.js';
import { makeConnection, type AsyncConnection } from '../connection/connection.js';
import { ArgumentError, IllegalStateError, TransactionTimeoutError } from '../errors/errors.js';
import {
  ConnectionLostError,
  LockNotAvailableError,
  NotSupportedError,
  QueryCanceledError,
} from '../errors/server-errors.js';
import { sql } from '../statement/sql.js';
import type { Sql } from '../statement/sql-fragment.js';
import { eitherSignal } from '../transaction/deadline.js';
import { expectFunction } from '../util/argument.js';
import { describeValue } from '../util/describe-value.js';
import type { Ambient } from './ambient.js';
import { EXCLUSIVE_OPTIONS, expectLockName, type ExclusiveOptions } from './exclusive-options.js';
import { HeldLock } from './held-lock.js';

/** Whether the work ran, and what it gave. */
export type ExclusiveOutcome<T> =
  { readonly ran: true; readonly value: T } | { readonly ran: false; readonly value?: undefined };

interface Exclusive<T> {
  readonly name: string;
  readonly work: (signal: AbortSignal) => Promise<T> | T;
  readonly options: ExclusiveOptions;
}

/** What the server says of the lock. */
type Answer = 'locked' | 'taken' | 'standby' | 'snapshot';

const NOT_RUN = { ran: false } as const;

/** `isPooled`: a pooler gives each transaction another session. @internal */
export async function runExclusive<T>(
  ambient: Ambient,
  isPooled: boolean,
  { name, work, options: given }: Exclusive<T>,
): Promise<ExclusiveOutcome<T>> {
  expectLockName('engine.exclusive()', name);
  expectFunction('engine.exclusive()', work);
  const options = EXCLUSIVE_OPTIONS.parse(given);
  if (options.scope === 'session') expectPinnable(ambient, isPooled, name);
  const exclusive = { name, work, options };
  return await (options.scope === 'session'
    ? inSession(ambient, exclusive)
    : inTransaction(ambient, exclusive));
}

function expectPinnable({ host }: Ambient, isPooled: boolean, name: string): void {
  const advice = `Use scope: 'transaction'`;
  if (isPooled) {
    throw new ArgumentError(
      `behind a pooler (pgbouncer: true) the session that locks '${name}' would serve other clients. ` +
        `${advice}, or an engine that is connected to the server directly.`,
    );
  }
  if (host.dialect.driver !== 'pglite') return;
  throw new NotSupportedError(
    `locking '${name}' would keep the one session that a PGlite database has. ${advice}.`,
  );
}

async function inTransaction<T>(
  ambient: Ambient,
  { name, work, options }: Exclusive<T>,
): Promise<ExclusiveOutcome<T>> {
  const { timeout, signal } = options;
  const isAutocommit = ambient.host.executionOptions.isolationLevel === 'AUTOCOMMIT';
  const isRoot = ambient.context.current?.isInside !== true;
  const locked = async (): Promise<ExclusiveOutcome<T>> => {
    const held = ambient.context.lockNamed(name);
    if (held === undefined && !(await lockTransaction(ambient, name, options))) return NOT_RUN;
    const { connection, deadline } = ambient.activeTransaction() ?? {};
    const lock = new HeldLock(name, [signal, deadline, held?.signal]);
    return await underLock(ambient, lock, held === undefined ? connection : undefined, work);
  };
  return await ambient.transaction(locked, {
    propagation: 'nested',
    server: 'primary',
    label: `exclusive('${name}')`,
    timeout,
    // Where each statement commits itself, the lock would be gone with the statement that took it.
    isolationLevel: isAutocommit && isRoot ? 'READ COMMITTED' : undefined,
  });
}

async function lockTransaction(
  ambient: Ambient,
  name: string,
  { wait = false, signal }: ExclusiveOptions,
): Promise<boolean> {
  const ask = async (statement: Sql): Promise<boolean> => {
    const connection = ambient.activeTransaction()?.connection;
    return isLocked(name, await connection?.scalar<Answer>(statement, undefined, { signal }));
  };
  const lockTimeout = lockTimeoutOf(wait);
  if (lockTimeout === undefined) {
    return await ask(sql`SELECT CASE WHEN pg_is_in_recovery() THEN 'standby'
      WHEN pg_try_advisory_xact_lock(hashtextextended(${name}, 0)) THEN 'locked' ELSE 'taken' END`);
  }
  // Work behind a wait must see what was stored meanwhile, so its snapshot may not be older than the lock.
  const statement = sql`SELECT CASE WHEN pg_is_in_recovery() THEN 'standby'
    WHEN current_setting('transaction_isolation') NOT LIKE 'read%' THEN 'snapshot'
    ELSE concat('locked', pg_advisory_xact_lock(hashtextextended(${name}, 0))) END`;
  // A savepoint, so that the limit is the lock's alone, and its end undoes nothing else.
  return await untilLimit(ambient.transaction(() => ask(statement), { propagation: 'nested', lockTimeout }));
}

async function inSession<T>(
  ambient: Ambient,
  { name, work, options }: Exclusive<T>,
): Promise<ExclusiveOutcome<T>> {
  const { timeout, wait } = options;
  const late = timeout === undefined ? undefined : new AbortController();
  const expire = (): void =>
    late?.abort(
      new TransactionTimeoutError(`exclusive('${name}') took longer than its timeout of ${timeout} ms.`),
    );
  if (timeout === 0) expire();
  const timer = timeout === undefined ? undefined : startLimit(expire, timeout);
  const signal = eitherSignal(late?.signal, options.signal);
  try {
    const held = ambient.context.lockNamed(name);
    if (held !== undefined)
      return await underLock(ambient, new HeldLock(name, [signal, held.signal]), undefined, work);
    return await onPinnedSession(ambient, { name, work, options: { wait, signal } });
  } catch (error) {
    if (late?.signal.aborted === true && error instanceof QueryCanceledError) throw late.signal.reason;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function onPinnedSession<T>(
  ambient: Ambient,
  { name, work, options }: Exclusive<T>,
): Promise<ExclusiveOutcome<T>> {
  const connection = makeConnection(ambient.host, { mode: 'scoped' });
  const key = sql`hashtextextended(${name}, 0)`;
  try {
    if (!(await lockSession(connection, name, key, options))) return NOT_RUN;
    try {
      return await underLock(ambient, new HeldLock(name, [options.signal]), connection, work);
    } finally {
      await unlockSession(connection, key);
    }
  } finally {
    await connection.close();
  }
}

async function lockSession(
  connection: AsyncConnection,
  name: string,
  key: Sql,
  { wait = false, signal }: ExclusiveOptions,
): Promise<boolean> {
  const lockTimeout = lockTimeoutOf(wait);
  await connection.executionOptions({
    // A transaction that waits with its session would keep the server from cleaning up.
    isolationLevel: 'AUTOCOMMIT',
    readOnly: false,
    ...(lockTimeout !== undefined && { settings: { lock_timeout: String(lockTimeout) } }),
  });
  const taken =
    lockTimeout === undefined ? sql`pg_try_advisory_lock(${key})` : sql`pg_advisory_lock(${key}) IS NOT NULL`;
  const statement = sql`SELECT CASE WHEN pg_is_in_recovery() THEN 'standby' WHEN ${taken} THEN 'locked' ELSE 'taken' END`;
  const locking = async (): Promise<Answer | undefined> => {
    try {
      return await connection.scalar<Answer>(statement, undefined, { signal });
    } catch (error) {
      // The lock may have been given while the statement was cancelled.
      if (error instanceof QueryCanceledError) endSession(connection, error);
      throw error;
    }
  };
  return await untilLimit(locking().then((answer) => isLocked(name, answer)));
}

/** The end of the session releases a lock that can't be given back. */
async function unlockSession(connection: AsyncConnection, key: Sql): Promise<void> {
  try {
    if (connection.pooled?.isValid === true) await connection.execute(sql`SELECT pg_advisory_unlock(${key})`);
    else endSession(connection, undefined);
  } catch (error) {
    endSession(connection, error);
  }
}

function endSession(connection: AsyncConnection, cause: unknown): void {
  if (connection.pooled !== undefined) connection.invalidate(cause);
}

/** `connection`: what holds the lock; undefined where the lock is that of work around this. */
async function underLock<T>(
  ambient: Ambient,
  lock: HeldLock,
  connection: AsyncConnection | undefined,
  work: (signal: AbortSignal) => Promise<T> | T,
): Promise<ExclusiveOutcome<T>> {
  const forget =
    connection?.pooled &&
    onSessionLost(connection.pooled.driverConnection, (cause) => lock.lose(lostError(lock.name, cause)));
  const holder = ambient.activeTransaction()?.connection === connection ? undefined : connection;
  try {
    const value = await ambient.context.runLocked(lock, holder, async () => await work(lock.signal));
    lock.expectHeld();
    return { ran: true, value };
  } finally {
    lock.release();
    forget?.();
  }
}

/** Undefined: it does not wait. 0: without end, as the server counts. */
function lockTimeoutOf(wait: boolean | number): number | undefined {
  if (wait === true) return 0;
  return wait === false || wait === 0 ? undefined : Math.ceil(wait);
}

async function untilLimit(locking: Promise<boolean>): Promise<boolean> {
  try {
    return await locking;
  } catch (error) {
    if (error instanceof LockNotAvailableError) return false;
    throw error;
  }
}

function isLocked(name: string, answer: Answer | undefined): boolean {
  switch (answer) {
    case 'locked':
      return true;
    case 'taken':
      return false;
    case 'standby':
      throw new IllegalStateError(
        `a lock of '${name}' on a standby would hold on that server alone. Begin the transaction on the primary.`,
      );
    case 'snapshot':
      throw new IllegalStateError(
        `'${name}' can't wait for its lock in a transaction that is REPEATABLE READ or SERIALIZABLE: the work would ` +
          `not see what was stored meanwhile. Use scope: 'session' and begin the transaction inside.`,
      );
    default:
      throw new IllegalStateError(`the lock of '${name}' was answered with ${describeValue(answer)}.`);
  }
}

function lostError(name: string, cause: unknown): ConnectionLostError {
  return new ConnectionLostError(
    `the session that locked '${name}' was lost while its work ran: another instance may run it now.`,
    { cause, connectionInvalidated: true },
  );
}
