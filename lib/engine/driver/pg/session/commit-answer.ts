import pg from 'pg';
import { CommitOutcomeUnknownError } from '../../../errors/errors.js';
import { errorClassOf, leavesOutcomeUnknown } from '../../../errors/sqlstate.js';
import type { SessionNotice } from '../../driver.js';

const INTERNAL_ERROR = 'XX000';

/** `00000` of a notice; a warning has another one, in every language. */
export function isWarning({ sqlState = '00000' }: SessionNotice): boolean {
  return sqlState !== '00000';
}

/**
 * What it means that COMMIT is answered with an error. A coordinator hands on the error of the server behind
 * it as a warning of an internal error; where it does not, a part of a list may be stored, unless the server
 * is known to be no coordinator. Undefined where the error stands for itself.
 */
export function commitFailure(
  failure: unknown,
  warnings: readonly SessionNotice[],
  { isList, isDistributed }: { readonly isList: boolean; readonly isDistributed: boolean | undefined },
): Error | undefined {
  if (!(failure instanceof pg.DatabaseError)) return undefined;
  // A root transaction looks at its own COMMIT.
  if (leavesOutcomeUnknown(failure.code)) return isList ? unknownEnd(failure) : undefined;
  if (failure.code !== INTERNAL_ERROR) return undefined;
  const told = warnings.find(({ sqlState }) => /^(?:40|23)/.test(sqlState ?? ''));
  if (told !== undefined && !leavesOutcomeUnknown(told.sqlState)) {
    const { message, sqlState, detail, hint } = told;
    const facts = { sqlState, detail, hint, cause: failure, statement: 'COMMIT' };
    return new (errorClassOf(sqlState))(message, facts);
  }
  const isPart = told !== undefined || isDistributed !== false;
  return isList && isPart ? unknownEnd(failure) : undefined;
}

function unknownEnd(failure: pg.DatabaseError): CommitOutcomeUnknownError {
  return new CommitOutcomeUnknownError(
    `the server answered the COMMIT of a list with ${failure.code} (${failure.message}), as one does that has lost ` +
      'another server meanwhile: the data is stored or it is not. Read it back before you repeat the work.',
    { cause: failure },
  );
}
