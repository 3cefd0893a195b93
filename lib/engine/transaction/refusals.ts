import {
  InternalError,
  NestedScopeBusyError,
  PendingRollbackError,
  ResourceClosedError,
  TransactionEndedError,
} from '../errors/errors.js';
import type { DBAPIErrorOptions } from '../errors/errors.js';

/**
 * Why an end can only be a rollback. `isExpected`: the user asked for it, so that nothing is thrown for it.
 */
export interface RollbackReason {
  readonly cause: unknown;
  readonly isExpected: boolean;
}

/** Work that comes after the end. */
export function ended(origin: string, state: string): TransactionEndedError {
  return new TransactionEndedError(
    `the transaction begun at ${origin} is already ${state}. ` +
      `Is a promise not awaited, or does a timer or a stream run on after it?`,
  );
}

/** The connection was closed. */
export function closed(): ResourceClosedError {
  return new ResourceClosedError('this AsyncConnection is closed. Take another one from engine.connect().');
}

/** The connection went away under the transaction. */
export function lost(origin: string, cause: unknown): PendingRollbackError {
  const message = `the connection was lost in the transaction begun at ${origin}. Roll it back, then begin again.`;
  return new PendingRollbackError(message, { cause });
}

/** The server's 25P02, with the statement that caused it. */
export function failedEarlier(
  { sqlState, statement, parameters }: DBAPIErrorOptions,
  earlier: unknown,
): InternalError {
  const message = `the transaction failed earlier (${String(earlier)}) and takes nothing but a rollback.`;
  return new InternalError(message, { sqlState, statement, parameters, cause: earlier });
}

/** Why a transaction is lost whose connection was invalidated without a reason. */
export function invalidated(): ResourceClosedError {
  return new ResourceClosedError('the connection was invalidated.');
}

/** A wait for a nested transaction that did not end. */
export function busy(waited: number, origin: string, holder: string | undefined): NestedScopeBusyError {
  const inside = holder === undefined ? 'its first statement' : `the one begun at ${holder}`;
  return new NestedScopeBusyError(
    `waited ${waited} ms in the transaction begun at ${origin} for a nested one to end: ${inside}. ` +
      `Does that one wait for work that waits for it? Do the work inside it, or after it.`,
  );
}
