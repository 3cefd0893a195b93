import { DBAPIError, InterfaceError, StatementError } from '../../../errors/errors.js';
import { InternalError } from '../../../errors/server-errors.js';
import { reasonOf } from '../../../errors/thrown.js';

/** What was sent. */
interface AnsweredStatement {
  readonly text: string;
  readonly parameters: readonly unknown[];
}

/** A row of the answer to `step` could not be read. */
export function rowError(cause: unknown, step: AnsweredStatement | undefined): StatementError {
  const facts = { cause, statement: step?.text, parameters: step?.parameters };
  if (cause instanceof DBAPIError && cause.connectionInvalidated) return cause;
  if (cause instanceof InterfaceError) {
    return new InterfaceError(
      `the statement has run, but its result could not be read: ${cause.message}`,
      facts,
    );
  }
  const reason = reasonOf(cause);
  return new StatementError(
    `the statement has run, but a value of its result could not be decoded: ${reason}`,
    facts,
  );
}

/** A statement has run behind one that had failed: what is stored can't be known. */
export function unskippedError(answer: string, failure: unknown): InternalError {
  return new InternalError(
    `a statement was run behind one that had failed (${answer}), so that nothing says what is stored. A pooler that ` +
      `breaks a flight into its statements does that: set pgbouncer: true. The connection was closed.`,
    { connectionInvalidated: true, cause: failure },
  );
}

/** COPY needs a stream of its own. */
export function copyError(
  direction: 'in' | 'out',
  isScript: boolean,
  step: AnsweredStatement | undefined,
): InterfaceError {
  const advice = {
    in: isScript
      ? "a script can't hold the rows of a COPY … FROM STDIN: dump it with --inserts, or run it with psql. Or use copyFrom()."
      : 'COPY FROM STDIN has no rows to send. Use copyFrom(sql, source).',
    out: 'COPY TO STDOUT has no result to put its rows into. Use copyTo(sql).',
  };
  return new InterfaceError(advice[direction], { statement: step?.text });
}
