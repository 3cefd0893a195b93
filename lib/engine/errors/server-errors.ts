import { DBAPIError, type DBAPIErrorOptions } from './errors.js';

/** The server reported an error of no narrower class. */
export class DatabaseError extends DBAPIError {
  override readonly code: string = 'DATABASE';
  override readonly name: string = 'DatabaseError';
}
/** A value is out of range or malformed (class 22). */
export class DataError extends DatabaseError {
  override readonly code = 'DATA';
  override readonly name = 'DataError';
}
/** The server is in a state that the statement cannot run in (classes 24, 25, 2B, 2D, XX). */
export class InternalError extends DatabaseError {
  override readonly code: string = 'INTERNAL';
  override readonly name: string = 'InternalError';
}
const READ_ONLY_HINT =
  'Take readOnly away from work that writes. A stream outside of transactions is read-only: begin one around it.';

/**
 * A write in a read-only transaction, or on a standby (25006): work with `readOnly: true` may not write. An
 * `InternalError`, also by `name`, as every error of class 25.
 */
export class ReadOnlyTransactionError extends InternalError {
  override readonly code = 'READ_ONLY_TRANSACTION';

  constructor(message: string, options: DBAPIErrorOptions = {}) {
    super(message, { ...options, hint: options.hint ?? READ_ONLY_HINT });
  }
}
/** The statement is wrong: syntax, a missing table, a missing privilege (classes 42, 44 and others). */
export class ProgrammingError extends DatabaseError {
  override readonly code = 'PROGRAMMING';
  override readonly name = 'ProgrammingError';
}
/** The server does not support this (class 0A). */
export class NotSupportedError extends DatabaseError {
  override readonly code = 'NOT_SUPPORTED';
  override readonly name = 'NotSupportedError';
}

/** The database's operation failed, not the statement: connections, resources, conflicts. */
export class OperationalError extends DatabaseError {
  override readonly code: string = 'OPERATIONAL';
  override readonly name: string = 'OperationalError';
}
/** The statement was cancelled: by `timeout`, `signal` or an administrator (57014). */
export class QueryCanceledError extends OperationalError {
  override readonly code = 'QUERY_CANCELED';
  override readonly name = 'QueryCanceledError';
}
/** A lock was not available: NOWAIT or `lockTimeout` (55P03). */
export class LockNotAvailableError extends OperationalError {
  override readonly code = 'LOCK_NOT_AVAILABLE';
  override readonly name = 'LockNotAvailableError';
}
/** The connection was lost; `connectionInvalidated` is true. */
export class ConnectionLostError extends OperationalError {
  override readonly code = 'CONNECTION_LOST';
  override readonly name = 'ConnectionLostError';
}
/**
 * No session could be opened: the server refused, was unreachable, was full or is starting, and another
 * attempt may succeed. An `OperationalError`, also by `name`, as every failed connect always was.
 */
export class ConnectError extends OperationalError {
  override readonly code = 'CONNECT';
  override readonly name = 'OperationalError';
}
/** A concurrent transaction got in the way (40001): the transaction may be retried. */
export class SerializationFailureError extends OperationalError {
  override readonly code = 'SERIALIZATION_FAILURE';
  override readonly name = 'SerializationFailureError';
}
/** Two transactions waited for each other and this one was chosen to fail (40P01): it may be retried. */
export class DeadlockDetectedError extends OperationalError {
  override readonly code = 'DEADLOCK_DETECTED';
  override readonly name = 'DeadlockDetectedError';
}

/** A constraint refused the row (class 23). */
export class IntegrityError extends DatabaseError {
  override readonly code: string = 'INTEGRITY';
  override readonly name: string = 'IntegrityError';
}
/** A unique constraint or index refused the row (23505). */
export class UniqueViolationError extends IntegrityError {
  override readonly code = 'UNIQUE_VIOLATION';
  override readonly name = 'UniqueViolationError';
}
/** A foreign key refused the row (23503). */
export class ForeignKeyViolationError extends IntegrityError {
  override readonly code = 'FOREIGN_KEY_VIOLATION';
  override readonly name = 'ForeignKeyViolationError';
}
/** A column may not be null (23502). */
export class NotNullViolationError extends IntegrityError {
  override readonly code = 'NOT_NULL_VIOLATION';
  override readonly name = 'NotNullViolationError';
}
/** A check constraint refused the row (23514). */
export class CheckViolationError extends IntegrityError {
  override readonly code = 'CHECK_VIOLATION';
  override readonly name = 'CheckViolationError';
}
/** An exclusion constraint refused the row (23P01). */
export class ExclusionViolationError extends IntegrityError {
  override readonly code = 'EXCLUSION_VIOLATION';
  override readonly name = 'ExclusionViolationError';
}
