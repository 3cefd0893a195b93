/*
 * EngineError
 * ├ ArgumentError ─ ObjectNotExecutableError, NoSuchDriverError
 * ├ InvalidRequestError ─ ResourceClosedError, NotStartedError, IllegalStateError, PendingRollbackError,
 * │   NoResultFoundError, MultipleResultsFoundError, NoActiveScopeError, ScopeEndedError,
 * │   TransactionEndedError, NestedScopeBusyError, PropagationError, AsyncMethodRequiredError,
 * │   NoInspectionAvailableError
 * ├ PoolTimeoutError ─ PoolOverloadError
 * ├ PoolDeadlockError, NoReplicaError, TransactionTimeoutError, UnexpectedRollbackError, AfterCommitError,
 * │   CommitOutcomeUnknownError, CommitLostError, UnsubscribedError, MigrationError
 * └ StatementError ─ DBAPIError
 *     ├ InterfaceError
 *     └ DatabaseError, in server-errors.ts ─ DataError, ProgrammingError, NotSupportedError,
 *         InternalError ─ ReadOnlyTransactionError
 *         OperationalError ─ QueryCanceledError, LockNotAvailableError, ConnectionLostError,
 *                            SerializationFailureError, DeadlockDetectedError, ConnectError
 *         IntegrityError ─ UniqueViolationError, ForeignKeyViolationError, NotNullViolationError,
 *                          CheckViolationError, ExclusionViolationError
 */

import { hideValues, hideValuesOfCause } from './hidden-values.js';
import { HIDDEN_PARAMETERS, isWithoutValues, parametersText, withStatement } from './parameter-text.js';

/** Marks the errors of every copy of this package in the process. */
const ERROR_BRAND = Symbol.for('nest-async-engine.error');

/**
 * The root of every error that this library throws. `code` is stable; `docs/errors.md` has a section for
 * each.
 */
export class EngineError extends Error {
  /** Tells the kind of error; stable from version to version. */
  readonly code: string = 'ENGINE';
  /** The name of the class, written out: a bundler that shortens names does not change it. */
  override readonly name: string = 'EngineError';

  /** True also for an error that another copy of this package has thrown, by the names of its classes. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    const isInstance = Function.prototype[Symbol.hasInstance];
    if (isInstance.call(this, value)) return true;
    if (typeof value !== 'object' || value === null || !(ERROR_BRAND in value)) return false;
    return !isInstance.call(EngineError, value) && classNamesOf(value).includes(this.name);
  }

  /** @internal */
  get [ERROR_BRAND](): true {
    return true;
  }

  /** What a log of JSON needs: name, code, message and the facts; neither the stack nor the cause. */
  toJSON(): object {
    return Object.assign({}, this, { message: this.message });
  }
}

function classNamesOf(value: object): string[] {
  const above = Object.getPrototypeOf(value) as object | null;
  return above === null ? [] : [above.constructor.name, ...classNamesOf(above)];
}

/** A wrong option, URL, statement or parameter: refused before anything was sent. */
export class ArgumentError extends EngineError {
  override readonly code: string = 'ARGUMENT';
  override readonly name: string = 'ArgumentError';
}
/** What was given to `execute` is not a statement. */
export class ObjectNotExecutableError extends ArgumentError {
  override readonly code = 'OBJECT_NOT_EXECUTABLE';
  override readonly name = 'ObjectNotExecutableError';
}
/** The URL names a dialect or driver that does not exist. */
export class NoSuchDriverError extends ArgumentError {
  override readonly code = 'NO_SUCH_DRIVER';
  override readonly name = 'NoSuchDriverError';
}

/** The call is not allowed in the present state of its object. */
export class InvalidRequestError extends EngineError {
  override readonly code: string = 'INVALID_REQUEST';
  override readonly name: string = 'InvalidRequestError';
}
/** The connection or result was closed. */
export class ResourceClosedError extends InvalidRequestError {
  override readonly code = 'RESOURCE_CLOSED';
  override readonly name = 'ResourceClosedError';
}
/** The connection or transaction was never started. */
export class NotStartedError extends InvalidRequestError {
  override readonly code = 'NOT_STARTED';
  override readonly name = 'NotStartedError';
}
/** The object is in a state that does not allow this call. */
export class IllegalStateError extends InvalidRequestError {
  override readonly code = 'ILLEGAL_STATE';
  override readonly name = 'IllegalStateError';
}
/** A dead transaction is still attached: roll it back first. */
export class PendingRollbackError extends InvalidRequestError {
  override readonly code = 'PENDING_ROLLBACK';
  override readonly name = 'PendingRollbackError';
}
/** A row was required and there was none. */
export class NoResultFoundError extends InvalidRequestError {
  override readonly code = 'NO_RESULT_FOUND';
  override readonly name = 'NoResultFoundError';
}
/** At most one row was required and there were more. */
export class MultipleResultsFoundError extends InvalidRequestError {
  override readonly code = 'MULTIPLE_RESULTS_FOUND';
  override readonly name = 'MultipleResultsFoundError';
}
/** There is no active transaction or scope here. */
export class NoActiveScopeError extends InvalidRequestError {
  override readonly code = 'NO_ACTIVE_SCOPE';
  override readonly name = 'NoActiveScopeError';
}
/** Late work: the request, message or job that it belongs to has ended. */
export class ScopeEndedError extends InvalidRequestError {
  override readonly code = 'SCOPE_ENDED';
  override readonly name = 'ScopeEndedError';
}
/** Late work: the transaction that it belongs to has ended. */
export class TransactionEndedError extends InvalidRequestError {
  override readonly code = 'TRANSACTION_ENDED';
  override readonly name = 'TransactionEndedError';
}
/** A statement or a nested transaction waited too long for another nested transaction of the same parent. */
export class NestedScopeBusyError extends InvalidRequestError {
  override readonly code = 'NESTED_SCOPE_BUSY';
  override readonly name = 'NestedScopeBusyError';
}
/** Why a transaction was rolled back whose Observable was unsubscribed: the `reason` of its event. */
export class UnsubscribedError extends EngineError {
  override readonly code = 'UNSUBSCRIBED';
  override readonly name = 'UnsubscribedError';
}
/** The propagation mode forbids the call: `mandatory` without a transaction, `never` inside one. */
export class PropagationError extends InvalidRequestError {
  override readonly code = 'PROPAGATION';
  override readonly name = 'PropagationError';
}
/** The option needs another method, for example `stream()` instead of `execute()`. */
export class AsyncMethodRequiredError extends InvalidRequestError {
  override readonly code = 'ASYNC_METHOD_REQUIRED';
  override readonly name = 'AsyncMethodRequiredError';
}
/** There is no inspection of this object. */
export class NoInspectionAvailableError extends InvalidRequestError {
  override readonly code = 'NO_INSPECTION_AVAILABLE';
  override readonly name = 'NoInspectionAvailableError';
}

/** No connection became free within `poolTimeout`. */
export class PoolTimeoutError extends EngineError {
  override readonly code: string = 'POOL_TIMEOUT';
  override readonly name: string = 'PoolTimeoutError';
}
/**
 * More callers wait than `poolMaxWaiting` allows, or the pool is overloaded (`poolQueueTarget`), so this one
 * was refused. A `PoolTimeoutError`, also by `name`: a caller treats both alike.
 */
export class PoolOverloadError extends PoolTimeoutError {
  override readonly code = 'POOL_OVERLOAD';
  override readonly name = 'PoolTimeoutError';
}
/** Every holder of a connection waits for another one: no wait could end. */
export class PoolDeadlockError extends EngineError {
  override readonly code = 'POOL_DEADLOCK';
  override readonly name = 'PoolDeadlockError';
}
/** No replica takes work, and `replicas.fallback` is `'fail'`. */
export class NoReplicaError extends EngineError {
  override readonly code = 'NO_REPLICA';
  override readonly name = 'NoReplicaError';
}
/** The transaction exceeded its `timeout` and was rolled back. */
export class TransactionTimeoutError extends EngineError {
  override readonly code = 'TRANSACTION_TIMEOUT';
  override readonly name = 'TransactionTimeoutError';
}
/**
 * COMMIT was asked for and the transaction was rolled back; `cause` is the first statement that failed in it.
 */
export class UnexpectedRollbackError extends EngineError {
  override readonly code = 'UNEXPECTED_ROLLBACK';
  override readonly name = 'UnexpectedRollbackError';
}
/** The data is committed; a hook that ran afterwards failed. */
export class AfterCommitError extends EngineError {
  override readonly code = 'AFTER_COMMIT';
  override readonly name = 'AfterCommitError';
}
/**
 * The connection was lost during COMMIT: whether the data is stored is not known. Never retried by itself.
 */
export class CommitOutcomeUnknownError extends EngineError {
  override readonly code = 'COMMIT_OUTCOME_UNKNOWN';
  override readonly name = 'CommitOutcomeUnknownError';
  /** For `pg_xact_status()`; undefined where it was not asked for, as with `commitOutcome: 'report'`. */
  readonly transactionId: string | undefined = undefined;
}
/**
 * The connection was lost during COMMIT, and the server has said that nothing is stored: `retry` runs it
 * again.
 */
export class CommitLostError extends EngineError {
  override readonly code = 'COMMIT_LOST';
  override readonly name = 'CommitLostError';
  /** How the transaction ended. */
  readonly outcome = 'aborted';
  /** The server's id of it; undefined where it had none, because nothing was written in it. */
  readonly transactionId: string | undefined = undefined;
}

/** A migration failed, or its file is not the one that ran. */
export class MigrationError extends EngineError {
  override readonly code = 'MIGRATION';
  override readonly name = 'MigrationError';
  /** The file that the error is about, where it is about one. */
  readonly file: string | undefined;

  constructor(message: string, options: ErrorOptions & { readonly file?: string | undefined } = {}) {
    super(message, options);
    this.file = options.file;
  }
}

/** The statement that an error is about. */
export interface StatementErrorOptions {
  readonly cause?: unknown;
  readonly statement?: string | undefined;
  readonly parameters?: unknown;
  /** Where in `statement` the error is, in characters from 1. */
  readonly position?: number | undefined;
}

/** A statement could not be prepared or run. */
export class StatementError extends EngineError {
  override readonly code: string = 'STATEMENT';
  override readonly name: string = 'StatementError';
  /**
   * The SQL as it was sent, or as it was written where it never was; whole, where the message shows a part.
   */
  readonly statement: string | undefined;
  /** Where in `statement` the server saw the error, in characters from 1; undefined where it did not say. */
  readonly position: number | undefined;
  readonly #parameters: unknown;
  #shown: 'not yet' | 'shown' = 'not yet';

  constructor(message: string, options: StatementErrorOptions = {}) {
    super(
      withStatement(message, options.statement, options.position),
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.statement = options.statement;
    this.position = options.position;
    this.#parameters = options.parameters;
  }

  /** Its values. No own property, so that no logger prints what users typed, nor `console.log('%o')`. */
  get parameters(): unknown {
    return #parameters in this ? this.#parameters : undefined;
  }

  /** The line of `position`, from 1. */
  get line(): number | undefined {
    if (this.position === undefined || this.statement === undefined) return undefined;
    return this.statement.slice(0, this.position - 1).split('\n').length;
  }

  /**
   * Adds the values of the statement to the message, or takes them out of it and of what the server said;
   * once. The engine calls it.
   */
  showParameters(how: 'values' | 'hidden'): void {
    if (this.#shown === 'shown') return;
    this.#shown = 'shown';
    if (how === 'hidden') this.hideValues();
    if (isWithoutValues(this.parameters)) return;
    const text = how === 'hidden' ? HIDDEN_PARAMETERS : parametersText(this.parameters);
    this.rewrite(`${this.message}\n[parameters: ${text}]`);
  }

  /** Takes values out of the message and the facts. Here they hold none. */
  protected hideValues(): void {
    // What the library says itself names parameters and never shows them.
  }

  /** Puts another message into the place of this one, in the stack too. */
  protected rewrite(message: string): void {
    const { message: before, stack } = this;
    this.message = message;
    if (stack?.includes(before) === true) this.stack = stack.replace(before, () => message);
  }
}

/** What the server says of an error, field by field; see {@link DBAPIError}. */
export interface DBAPIErrorOptions extends StatementErrorOptions {
  readonly sqlState?: string | undefined;
  readonly constraint?: string | undefined;
  readonly schema?: string | undefined;
  readonly table?: string | undefined;
  readonly column?: string | undefined;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  readonly severity?: string | undefined;
  readonly where?: string | undefined;
  readonly routine?: string | undefined;
  readonly connectionInvalidated?: boolean;
}

/**
 * The driver or the server refused; `cause` is the driver's own error.
 *
 * `constraint`, `schema`, `table` and `column` name what it is about, `detail` and `hint` are the server's
 * own words, `where` is the call stack of a function, `severity` and `routine` are the server's; each is
 * undefined where the server sent none.
 */
export class DBAPIError extends StatementError {
  override readonly code: string = 'DBAPI';
  override readonly name: string = 'DBAPIError';
  /** The server's five characters, `23505`; undefined where the error is not the server's. */
  readonly sqlState: string | undefined;
  readonly constraint: string | undefined;
  readonly schema: string | undefined;
  readonly table: string | undefined;
  readonly column: string | undefined;
  /** With `hideParameters` a notice in its place: it quotes rows and keys. */
  readonly detail: string | undefined;
  readonly hint: string | undefined;
  readonly severity: string | undefined;
  readonly where: string | undefined;
  readonly routine: string | undefined;
  /** The physical connection is gone and a transaction on it with it. */
  connectionInvalidated: boolean;
  readonly #said: string;

  constructor(message: string, options: DBAPIErrorOptions = {}) {
    super(message, options);
    this.#said = message;
    this.sqlState = options.sqlState;
    this.constraint = options.constraint;
    this.schema = options.schema;
    this.table = options.table;
    this.column = options.column;
    this.detail = options.detail;
    this.hint = options.hint;
    this.severity = options.severity;
    this.where = options.where;
    this.routine = options.routine;
    this.connectionInvalidated = options.connectionInvalidated ?? false;
  }

  protected override hideValues(): void {
    const said = hideValues(this.#said, this.sqlState, this.parameters);
    this.rewrite(withStatement(said, this.statement, this.position));
    if (this.detail !== undefined) Object.assign(this, { detail: HIDDEN_PARAMETERS });
    if (this.where !== undefined) Object.assign(this, { where: HIDDEN_PARAMETERS });
    if (this.hint !== undefined)
      Object.assign(this, { hint: hideValues(this.hint, undefined, this.parameters) });
    hideValuesOfCause(this.cause, this.sqlState, this.parameters);
  }
}

/** The driver itself failed, not the server. */
export class InterfaceError extends DBAPIError {
  override readonly code = 'INTERFACE';
  override readonly name = 'InterfaceError';
}
