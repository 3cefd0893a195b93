import { EngineError } from './errors.js';

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
