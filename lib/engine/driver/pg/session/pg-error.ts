import pg from 'pg';
import {
  ConnectError,
  ConnectionLostError,
  InterfaceError,
  QueryCanceledError,
} from '../../../errors/errors.js';
import type { DBAPIError, DBAPIErrorOptions } from '../../../errors/errors.js';
import { errorClassOf, sqlStateOf } from '../../../errors/sqlstate.js';
import type { Step } from './pg-step.js';

/** What the server said, in the class that its SQLSTATE stands for. */
export function toEngineError(error: unknown, statement: string | undefined, values: unknown): DBAPIError {
  if (!(error instanceof pg.DatabaseError)) {
    const message = error instanceof Error ? error.message : String(error);
    return new InterfaceError(message, { cause: error, statement, parameters: values });
  }
  const type = errorClassOf(error.code);
  return new type(error.message, { ...factsOf(error), statement, parameters: values });
}

/** The session is gone; `cause` is what was seen of it last. */
export function lostError(cause: unknown, statement?: string): DBAPIError {
  // We ended it, because what the server sent could not be believed.
  if (cause instanceof InterfaceError) {
    return new InterfaceError(cause.message, { cause, statement, connectionInvalidated: true });
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  const facts = cause instanceof pg.DatabaseError ? factsOf(cause) : { cause };
  return new ConnectionLostError(
    `the connection to the server was lost: ${reason}. A transaction that was open is undone; ` +
      `a statement that ran outside of one may have been stored.`,
    { ...facts, statement, connectionInvalidated: true },
  );
}

/** True for the server's last words: after an ordinary error it goes on with the next statement. */
export function isEndOfSession(failure: unknown): boolean {
  return failure instanceof pg.DatabaseError && failure.severity !== 'ERROR';
}

/**
 * `plan`: DDL has changed what a statement returns. `names`: the server has lost a name, and maybe others.
 */
export function staleness(failure: unknown): 'none' | 'plan' | 'names' {
  const state = sqlStateOf(failure);
  if (state === '26000') return 'names';
  const { routine } = (failure ?? {}) as { routine?: unknown };
  return state === '0A000' && routine === 'RevalidateCachedQuery' ? 'plan' : 'none';
}

/**
 * Full (53300, 53400), starting or ending (57P03), and PgBouncer's word for full, which has a state of its own.
 */
const PASSING: ReadonlySet<string> = new Set(['53300', '53400', '57P03']);
const POOLER_IS_FULL = /no more connections allowed|too many (?:connections|clients)/i;

/** No session could be opened: a `ConnectError` where another attempt may succeed. */
export function connectError(cause: unknown, where: string): DBAPIError {
  const reason = cause instanceof Error ? describe(cause) : String(cause);
  const message = `cannot connect to ${where}: ${reason}`;
  if (!(cause instanceof pg.DatabaseError)) return new ConnectError(message, { cause });
  const isPassing = PASSING.has(cause.code ?? '') || POOLER_IS_FULL.test(cause.message);
  const type = isPassing ? ConnectError : errorClassOf(cause.code);
  return new type(message, factsOf(cause));
}

/**
 * What `asyncCreator` has thrown: an error of the driver or of its socket is wrapped, any other is its
 * author's.
 */
export function creatorError(error: unknown): unknown {
  const isOfDriver = error instanceof pg.DatabaseError || (error instanceof Error && 'syscall' in error);
  return isOfDriver ? connectError(error, 'the server of asyncCreator') : error;
}

// Node reports a refused connection to a name with several addresses as an AggregateError without a message.
function describe(error: Error): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(String).join('; ');
  return error.message;
}

function factsOf(error: pg.DatabaseError): DBAPIErrorOptions {
  return {
    cause: error,
    sqlState: error.code,
    constraint: error.constraint,
    schema: error.schema,
    table: error.table,
    column: error.column,
    detail: error.detail,
    hint: error.hint,
  };
}

/**
 * Without a SQLSTATE, since the server knows nothing of it: a transaction goes on as if it had not been
 * asked.
 */
export function cancelledUnsent(steps: readonly Step[]): QueryCanceledError {
  const last = steps[steps.length - 1];
  return new QueryCanceledError('the statement was cancelled before it was sent.', {
    statement: last?.text,
    parameters: last?.parameters,
  });
}
