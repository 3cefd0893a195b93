import {
  InternalError,
  NestedScopeBusyError,
  PendingRollbackError,
  ResourceClosedError,
  TransactionEndedError,
} from '../errors/errors.js';
import type { DBAPIErrorOptions } from '../errors/errors.js';

/** Work that comes after the end. `how`: how the transaction ended, where that is known. */
export function transactionEnded(origin: string, how?: string): TransactionEndedError {
  const end = how === undefined ? 'has already ended' : `has already ended (${how})`;
  return new TransactionEndedError(
    `the transaction started at ${origin} ${end}. Check for a promise that is not awaited, or a timer or stream that is ` +
      `still running. Work that must outlive it needs engine.scope() or propagation 'requires-new'; work that follows ` +
      `its COMMIT belongs in afterCommit() or a @TransactionalEventListener.`,
  );
}

/** The connection was closed. */
export function connectionClosed(): ResourceClosedError {
  return new ResourceClosedError('this AsyncConnection is closed. Take another one from engine.connect().');
}

/** The connection went away under the transaction. */
export function connectionLost(origin: string, cause: unknown): PendingRollbackError {
  const message = `the connection was lost in the transaction started at ${origin}. Roll it back, then begin again.`;
  return new PendingRollbackError(message, { cause });
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
  { waiting, parent, holder }: { waiting?: string; parent: string; holder: string | undefined },
): NestedScopeBusyError {
  const who = waiting === undefined ? 'a statement' : `the nested transaction started at ${waiting}`;
  const other = holder === undefined ? 'its first statement' : `the nested transaction started at ${holder}`;
  return new NestedScopeBusyError(
    `${who} waited ${waited} ms in the transaction started at ${parent} for ${other}. ` +
      `That one may be waiting for this work itself: do this work inside it, or after it.`,
  );
}
