import {
  IllegalStateError,
  PoolDeadlockError,
  PoolOverloadError,
  PoolTimeoutError,
  ResourceClosedError,
} from '../errors/errors.js';
import { ConnectError } from '../errors/server-errors.js';

export function poolDisposed(name: string): ResourceClosedError {
  return new ResourceClosedError(
    `the ${name} was disposed and lends no more connections. Use the engine's present pool, or pool.recreate().`,
  );
}

/** `cause`: why no connection could be opened. */
export function checkoutTimedOut(timeout: number, status: string, cause?: unknown): PoolTimeoutError {
  return new PoolTimeoutError(
    `no connection became free within ${timeout} ms (${status}). Look for work that keeps a connection ` +
      `while it waits for something else, or raise poolSize, maxOverflow or poolTimeout. poolLeakThreshold shows ` +
      `where connections are kept.`,
    cause === undefined ? undefined : { cause },
  );
}

export function lineFull(waiting: number, status: string): PoolOverloadError {
  return new PoolOverloadError(
    `${waiting} callers already wait for a connection, and poolMaxWaiting takes no more (${status}). Nothing was sent. ` +
      `Try again later, send less work at a time, or raise poolSize, maxOverflow or poolMaxWaiting.`,
  );
}

export function poolDeadlocked(onLoan: number): PoolDeadlockError {
  return new PoolDeadlockError(
    `no connection can become free: each of the ${onLoan} connections of the pool is held by work that ` +
      `waits here for another one. Do not open a second connection inside a transaction ('requires-new', ` +
      `engine.begin) or in the loop over a stream, or raise poolSize or maxOverflow above the number of such transactions that run at once.`,
  );
}

export function sessionDropped(): ConnectError {
  return new ConnectError(
    'the server dropped the session as soon as it was open, or did not end a transaction that was open on it. ' +
      'The log of the server may say why.',
  );
}

export function refusedByListener(times: number): IllegalStateError {
  return new IllegalStateError(
    `a listener of 'checkout' ended ${times} connections in a row. Look at the condition under which it does.`,
  );
}
