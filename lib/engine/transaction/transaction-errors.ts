import {
  CommitLostError,
  CommitOutcomeUnknownError,
  DBAPIError,
  EngineError,
  NotStartedError,
  IllegalStateError,
  NestedScopeBusyError,
  PendingRollbackError,
  ResourceClosedError,
  TransactionEndedError,
} from '../errors/errors.js';
import type { DBAPIErrorOptions } from '../errors/errors.js';
import { InternalError } from '../errors/server-errors.js';
import type { TransactionState } from './transaction-state.js';

/** Work that comes after the end. `how`: how the transaction ended, where that is known. */
export function transactionEnded(origin: string, how?: string): TransactionEndedError {
  const end = how === undefined ? 'has already ended' : `has already ended (${how})`;
  return new TransactionEndedError(
    `the transaction started at ${origin} ${end}. Check for a promise that is not awaited, or a timer or stream that is ` +
      `still running. Work that must outlive it needs engine.scope() or propagation 'requires-new'; work that follows ` +
      `its COMMIT belongs in afterCommit() or a @TransactionalEventListener.`,
  );
}

/** A transaction that is no longer there, in `state`, because of `cause`. */
export function endedError(origin: string, state: TransactionState, cause: unknown): EngineError {
  if (cause instanceof IllegalStateError) return cause;
  const isLost = state === 'cancelled' && cause !== undefined;
  return isLost ? connectionLost(origin, cause) : transactionEnded(origin, state);
}

/** The connection was closed. */
export function connectionClosed(): ResourceClosedError {
  return new ResourceClosedError('this AsyncConnection is closed. Take another one from engine.connect().');
}

/** The connection went away under the transaction. */
function connectionLost(origin: string, cause: unknown): PendingRollbackError {
  const message = `the connection was lost in the transaction started at ${origin}. Roll it back, then begin again.`;
  return new PendingRollbackError(message, { cause });
}

/** The connection was lost during COMMIT. */
export function outcomeUnknown(
  origin: string,
  cause: unknown,
  transactionId?: string,
): CommitOutcomeUnknownError {
  const isAnswered = cause instanceof DBAPIError && cause.sqlState === 'XX000';
  const what = isAnswered
    ? 'a coordinator answered with an internal error to'
    : 'the connection was lost during';
  const message =
    `${what} COMMIT of the transaction started at ${origin}: the data is stored or it is not. ` +
    `Read it back before you repeat the work.`;
  return Object.assign(new CommitOutcomeUnknownError(message, { cause }), { transactionId });
}

/** The same, and the server has said that nothing is stored. */
export function commitLost(
  origin: string,
  cause: unknown,
  transactionId: string | undefined,
): CommitLostError {
  const message =
    `the connection was lost during COMMIT of the transaction started at ${origin}, and nothing of it is stored. It can ` +
    `be run again.`;
  return Object.assign(new CommitLostError(message, { cause }), { transactionId });
}

/** The server's 25P02, with the statement that caused it. */
export function transactionAborted(
  { sqlState, statement, parameters }: DBAPIErrorOptions,
  earlier: unknown,
): InternalError {
  const message = `the transaction failed earlier (${String(earlier)}) and accepts only a rollback.`;
  return new InternalError(message, { sqlState, statement, parameters, cause: earlier });
}

/** Why a transaction is lost whose connection was invalidated without a reason. */
export function connectionInvalidated(): ResourceClosedError {
  return new ResourceClosedError('the connection was invalidated.');
}

/**
 * A wait for a nested transaction that did not end. Each text is where one was started: `waiting` the nested
 * transaction that waited, if it was not a statement, `parent` the one around both, `holder` the other one.
 */
export function nestedBusy(
  waited: number,
  { waiting, parent, holder }: { waiting: string | undefined; parent: string; holder: string | undefined },
): NestedScopeBusyError {
  const who = waiting === undefined ? 'a statement' : `the nested transaction started at ${waiting}`;
  const other =
    holder === undefined ? 'its first statement or a COPY' : `the nested transaction started at ${holder}`;
  return new NestedScopeBusyError(
    `${who} waited ${waited} ms in the transaction started at ${parent} for ${other}. ` +
      `That one may be waiting for this work itself: do this work inside it, or after it.`,
  );
}

/** Something other than the transaction ended it on the server. */
export function endedElsewhere(origin: string, cause?: unknown): IllegalStateError {
  return new IllegalStateError(
    `the transaction started at ${origin} was ended on the server by something else: a COMMIT or ROLLBACK that the raw ` +
      `client sent, or a procedure. What came before may be stored; nothing is sent any more. Roll it back, and end ` +
      `transactions with commit() and rollback().`,
    { cause },
  );
}

/** The session is in a transaction that was not begun by this connection. */
export function startedElsewhere(): IllegalStateError {
  return new IllegalStateError(
    'the session is in a transaction that this connection did not begin: the raw client or a listener sent BEGIN. ' +
      'End it there, and begin transactions with connection.begin().',
  );
}

/** A savepoint where each statement commits itself. */
export function savepointInAutocommit(): IllegalStateError {
  return new IllegalStateError(
    'a nested transaction needs a transaction, and with AUTOCOMMIT there is none: each statement commits itself. Give ' +
      'the outer transaction an isolationLevel of its own.',
  );
}

/**
 * A stream on an AUTOCOMMIT connection has a transaction of its own, which other statements must not be part
 * of.
 */
export function streamIsOpen(origin: string): IllegalStateError {
  return new IllegalStateError(
    `a stream is open on this AUTOCOMMIT connection (started at ${origin}), in a transaction of its own: read it to its ` +
      `end or close it first, or run this on another connection.`,
  );
}

/** The connection was used before its start. */
export function notStarted(): NotStartedError {
  return new NotStartedError(
    'this AsyncConnection has not been started. Await start(), or take one from engine.connect().',
  );
}
