import pg from 'pg';
import { CommitOutcomeUnknownError } from '../../../errors/commit-errors.js';
import { errorClassOf } from '../../../errors/sqlstate.js';
import type { SessionNotice } from '../../driver.js';

const INTERNAL_ERROR = 'XX000';

/** `00000` of a notice; a warning has another one, in every language. */
export function isWarning({ sqlState = '00000' }: SessionNotice): boolean {
  return sqlState !== '00000';
}

/**
 * What an internal error means that answers COMMIT: a coordinator hands on the error of the server behind it
 * as a warning. Where it does not, a part of a list may be stored, unless `isDistributed` is false. Undefined
 * where the error stands for itself.
 */
export function commitFailure(
  failure: unknown,
  warnings: readonly SessionNotice[],
  isDistributed: boolean | undefined,
): Error | undefined {
  if (!isInternalError(failure)) return undefined;
  const told = warnings.find(({ sqlState }) => /^(?:40|23)/.test(sqlState ?? ''));
  if (told !== undefined) {
    const { message, sqlState, detail, hint } = told;
    const facts = { sqlState, detail, hint, cause: failure, statement: 'COMMIT' };
    return new (errorClassOf(sqlState))(message, facts);
  }
  if (isDistributed === false) return undefined;
  return new CommitOutcomeUnknownError(
    `the server answered the COMMIT of a list with an internal error (${failure.message}), as a coordinator does that ` +
      'stored a part of it: the data is stored or it is not. Read it back before you repeat the work.',
    { cause: failure },
  );
}

function isInternalError(failure: unknown): failure is pg.DatabaseError {
  return failure instanceof pg.DatabaseError && failure.code === INTERNAL_ERROR;
}
