import {
  CommitLostError,
  ConnectError,
  ConnectionLostError,
  DBAPIError,
  DeadlockDetectedError,
  LockNotAvailableError,
  NoReplicaError,
  PendingRollbackError,
  PoolDeadlockError,
  PoolTimeoutError,
  QueryCanceledError,
  SerializationFailureError,
  TransactionTimeoutError,
  UnexpectedRollbackError,
} from '../../engine/index.js';

/** A server that is away, a full pool, a limit of time, another transaction in the way. */
const TRANSIENT = [
  CommitLostError,
  ConnectError,
  ConnectionLostError,
  PoolTimeoutError,
  PoolDeadlockError,
  NoReplicaError,
  TransactionTimeoutError,
  QueryCanceledError,
  LockNotAvailableError,
  SerializationFailureError,
  DeadlockDetectedError,
];

/** SQLSTATE classes: connection exception, insufficient resources, operator intervention. */
const TRANSIENT_STATES = /^(08|53|57)/;

/**
 * True: nothing is wrong with what was asked, and the same may succeed a little later. Looks through errors
 * that only say that an earlier one has undone the transaction.
 */
export function mayTryAgain(error: unknown): boolean {
  if (error instanceof UnexpectedRollbackError || error instanceof PendingRollbackError) {
    return mayTryAgain(error.cause);
  }
  if (TRANSIENT.some((type) => error instanceof type)) return true;
  return error instanceof DBAPIError && TRANSIENT_STATES.test(error.sqlState ?? '');
}
