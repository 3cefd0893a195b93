import pg from 'pg';
import { InterfaceError } from '../../../errors/errors.js';
import type { DBAPIError, DBAPIErrorOptions } from '../../../errors/errors.js';
import {
  ConnectError,
  ConnectionLostError,
  InternalError,
  QueryCanceledError,
} from '../../../errors/server-errors.js';
import { constraintNames } from '../../../errors/constraint-names.js';
import { errorClassOf, sqlStateOf } from '../../../errors/sqlstate.js';
import { unskippedError } from '../wire/answer-errors.js';
import type { Step } from './pg-step.js';
import { NAME_PREFIX } from '../prepared/prepared-statements.js';
import { nameAndReasonOf, reasonOf } from '../../../errors/thrown.js';

/** Not supported, and not even understood. */
const NOT_THERE: ReadonlySet<string> = new Set(['0A000', '42601']);
const MANY_PORTALS = /multiple active portals/i;

/** What the server said of `step`, in the class that its SQLSTATE stands for. */
export function toEngineError(error: unknown, step: Step | undefined): DBAPIError {
  const { text: statement, parameters } = step ?? {};
  if (!(error instanceof pg.DatabaseError)) {
    const message = reasonOf(error);
    return new InterfaceError(message, { cause: error, statement, parameters });
  }
  const type = errorClassOf(error.code);
  const facts = factsOf(error);
  // It counts in what the server got.
  const isOfText = step !== undefined && step.sql === undefined && error.position !== undefined;
  const position = isOfText ? Number(error.position) : undefined;
  const hint = hintFor(error, step) ?? facts.hint;
  const advice = hint === facts.hint ? '' : `. ${hint}`;
  const place = step?.simple === true && position !== undefined ? ` (${lineOf(step.text, position)})` : '';
  return new type(`${error.message}${place}${advice}`, { ...facts, position, hint, statement, parameters });
}

function lineOf(script: string, position: number): string {
  return `line ${script.slice(0, position - 1).split('\n').length} of the script`;
}

/** What to do where the server's own words do not say it. */
function hintFor(error: pg.DatabaseError, step: Step | undefined): string | undefined {
  if (step?.simple === true) return scriptHint(error, step.text);
  if (step?.isControl === true && step.text.startsWith('SAVEPOINT') && NOT_THERE.has(error.code ?? ''))
    return "This server has no savepoints: let nested work join the outer one, transactional: { propagation: 'required' }";
  if (step?.isControl === true && step.text.startsWith('SET TRANSACTION') && error.code === '25001')
    return "Ask for it where the outermost transaction begins, or give this one propagation: 'requires-new'";
  return error.code === '0A000' && MANY_PORTALS.test(error.message)
    ? 'This server has one active portal: read a stream to its end before the next statement of its transaction, or use ' +
        "execute(). CockroachDB takes more with settings: { multiple_active_portals_enabled: 'true' }"
    : undefined;
}

/** What a script can't have, although its statements work one by one. */
function scriptHint({ code }: pg.DatabaseError, script: string): string | undefined {
  if (code === '25001') {
    return (
      'Statements of one script share a transaction: run this one alone, on a connection whose isolationLevel is ' +
      'AUTOCOMMIT.'
    );
  }
  return code === '42601' && /\bCOPY\b[^;]*\bFROM\s+STDIN\b/i.test(script)
    ? "A script can't hold the rows of a COPY … FROM stdin: dump it with --inserts, or run it with psql."
    : undefined;
}

/** The session is gone; `cause` is what was seen of it last. */
export function lostError(cause: unknown, statement?: string): DBAPIError {
  // We ended it, because what the server sent could not be believed.
  const facts = { cause, statement, connectionInvalidated: true } as const;
  if (cause instanceof InterfaceError) return new InterfaceError(cause.message, facts);
  if (cause instanceof InternalError) return new InternalError(cause.message, facts);
  const reason = reasonOf(cause).replace(/\.$/, '');
  const said = cause instanceof pg.DatabaseError ? factsOf(cause) : {};
  return new ConnectionLostError(
    `the connection to the server was lost: ${reason}. A transaction that was open is undone; ` +
      `a statement that ran outside of one may have been stored.${poolerAdvice(reason)}`,
    { ...facts, ...said },
  );
}

/** What to do about a pooler that refuses what it can't do. */
function poolerAdvice(reason: string): string {
  if (/statement pooling mode/i.test(reason))
    return ' The pooler is in statement mode, which has no transactions: set pool_mode = transaction there.';
  return /unsupported startup parameter/i.test(reason)
    ? '. The pooler hands it on to no session: set it by ALTER ROLE … SET, or per transaction, and write pgbouncer: true.'
    : '';
}

/** An error behind one that the server should have skipped to the end of: a flight was taken apart. */
export function secondError(cause: unknown, failure: unknown): InternalError | undefined {
  const isSecond = cause instanceof pg.DatabaseError && !isEndOfSession(cause) && failure !== undefined;
  return isSecond ? unskippedError(cause.message, failure) : undefined;
}

/** True for the server's last words: after an ordinary error it goes on with the next statement. */
export function isEndOfSession(failure: unknown): boolean {
  return failure instanceof pg.DatabaseError && failure.severity !== 'ERROR';
}

/**
 * What a failure says of the statement's parse. `plan`: its rows have changed. `name`: its name is gone from
 * the session. `doubtful`: it may fail because a type or a function that it was parsed against was replaced.
 */
export function staleness(failure: unknown): 'none' | 'doubtful' | 'plan' | 'name' {
  const state = sqlStateOf(failure);
  if (state === undefined) return 'none';
  const { routine, message } = failure as { routine?: unknown; message?: unknown };
  // An application may have names of its own, for PREPARE and EXECUTE.
  if (state === '26000') return String(message).includes(NAME_PREFIX) ? 'name' : 'none';
  if (state === '0A000') return routine === 'RevalidateCachedQuery' ? 'plan' : 'doubtful';
  // 08P01: bytes in the binary form of another type.
  return /^(?:22|42|XX|08P01)/.test(state) ? 'doubtful' : 'none';
}

/**
 * Full (53300, 53400), starting or ending (57P03), and PgBouncer's word for full, which has a state of its
 * own.
 */
const PASSING: ReadonlySet<string> = new Set(['53300', '53400', '57P03']);
const POOLER_IS_FULL = /no more connections allowed|too many (?:connections|clients)/i;

/** No session could be opened: a `ConnectError` where another attempt may succeed. */
export function connectError(cause: unknown, where: string): DBAPIError {
  const reason = describe(cause);
  const message = `cannot connect to ${where}: ${reason}${poolerAdvice(reason)}`;
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
function describe(cause: unknown): string {
  const reason = reasonOf(cause);
  return reason === '' && cause instanceof AggregateError
    ? cause.errors.map(nameAndReasonOf).join('; ')
    : reason;
}

function factsOf(error: pg.DatabaseError): DBAPIErrorOptions {
  return {
    cause: error,
    sqlState: error.code,
    ...constraintNames(error),
    schema: error.schema,
    detail: error.detail,
    hint: error.hint,
    severity: error.severity,
    where: error.where,
    routine: error.routine,
  };
}

/**
 * Without a SQLSTATE, since the server has not seen the statement: its transaction goes on as if it had not
 * been issued.
 */
export function cancelledUnsent(steps: readonly Step[]): QueryCanceledError {
  const last = steps[steps.length - 1];
  return new QueryCanceledError('the statement was cancelled before it was sent.', {
    statement: last?.text,
    parameters: last?.parameters,
  });
}
