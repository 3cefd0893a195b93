import { describeValue } from '../util/describe-value.js';
import {
  ArgumentError,
  AsyncMethodRequiredError,
  IllegalStateError,
  MultipleResultsFoundError,
  NoResultFoundError,
  ResourceClosedError,
} from '../errors/errors.js';
import { QueryCanceledError } from '../errors/server-errors.js';

/** The questions that insist on the number of rows. */
export type OneRowQuestion = 'one' | 'oneOrNone' | 'scalarOne' | 'scalarOneOrNone';

const DATA_CHANGES: readonly string[] = ['INSERT', 'UPDATE', 'DELETE', 'MERGE'];

export function noRowFound(question: OneRowQuestion): NoResultFoundError {
  return new NoResultFoundError(
    `${question}() found no row where exactly one was required. ` +
      `Use ${question === 'one' ? 'oneOrNone' : 'scalarOneOrNone'}() when there may be none.`,
  );
}

export function severalRowsFound(question: OneRowQuestion): MultipleResultsFoundError {
  const required = question.endsWith('OrNone') ? 'one or none was allowed' : 'exactly one was required';
  return new MultipleResultsFoundError(
    `${question}() found more than one row where ${required}. ` +
      `Narrow the statement, or use ${question.startsWith('scalar') ? 'scalar' : 'first'}() to take the first.`,
  );
}

export function returnsNoRows(command?: string): ResourceClosedError {
  const subject = command ? `this statement returns no rows (${command})` : 'this statement returns no rows';
  const advice = command === undefined || DATA_CHANGES.includes(command) ? ', or add RETURNING to it' : '';
  return new ResourceClosedError(`${subject}. Check returnsRows before asking for rows${advice}.`);
}

export function resultIsClosed(cause?: unknown): ResourceClosedError {
  return new ResourceClosedError(
    'this result is closed: by close(), by leaving its block or loop, by a failure, or by first(), one(), scalar() and ' +
      'their like, which close it. Execute the statement again, or use all() or fetchOne().',
    cause === undefined ? undefined : { cause },
  );
}

/**
 * Returns `count` if it is a whole number of at least 1; refuses it otherwise, because zero asks the server
 * for everything.
 */
export function expectCount(question: string, count: number): number {
  if (Number.isSafeInteger(count) && count >= 1) return count;
  throw new ArgumentError(
    `${question} must be given a whole number of rows, at least 1; got ${describeValue(count)}.`,
  );
}

/** What the protocol can ask for at a time: with more, the server would send everything. */
const MOST_ROWS_PER_FETCH = 2 ** 31 - 1;

/** The same for how many rows are fetched at a time. */
export function expectRowsPerFetch(question: string, count: number): number {
  if (expectCount(question, count) <= MOST_ROWS_PER_FETCH) return count;
  throw new ArgumentError(`${question} must be given at most ${MOST_ROWS_PER_FETCH} rows; got ${count}.`);
}

/** The signal of a stream was aborted while nothing was fetched. */
export function streamAborted(reason: unknown): QueryCanceledError {
  return new QueryCanceledError('the stream was closed before its last row: its signal was aborted.', {
    cause: reason,
  });
}

/** A stream is asked for its JSON. */
export function streamIsNoJson(): AsyncMethodRequiredError {
  return new AsyncMethodRequiredError(
    'a streamed result cannot be written as JSON: its rows are still on the server. Await .all(), or answer with streamRows().',
  );
}

/** A result that was not awaited is asked for its JSON, which would show none of its rows. */
export function pendingIsNoJson(): AsyncMethodRequiredError {
  return new AsyncMethodRequiredError(
    'a result that is on its way cannot be written as JSON. Await it first, or one of its questions, such as .all().',
  );
}

/** Rows that a RowTextStream has asked for as text are there no more for who reads beside it. */
export function rowsAreText(): IllegalStateError {
  return new IllegalStateError(
    'the rows of this result are being written by a RowTextStream. Read that one, or run the statement once more.',
  );
}

/** A stream that was never opened, or has failed before its first row, is asked about its columns. */
export function streamIsNotOpen(): IllegalStateError {
  return new IllegalStateError(
    'the columns of a streamed result are known when its first rows have come. Await open() first.',
  );
}
