import type { TransactionMark } from '../driver/transaction-mark.js';

/** How a COMMIT ended whose answer never came. */
export type CommitOutcome = 'committed' | 'aborted' | 'unknown';

/** What another session finds on its server. */
export interface ServerReport {
  readonly server: string;
  readonly life: string;
  /** True: the last checkpoint is that of a recovery from a crash, so that `isForgotten` tells of that. */
  readonly isRecovered: boolean;
  /** The last checkpoint knew nothing of the id yet. */
  readonly isForgotten: boolean;
  /** COMMIT waits for standbys here. */
  readonly isSynchronous: boolean;
  /** The old session was ended just now. */
  readonly hasEnded: boolean | null;
}

/** What `pg_xact_status()` says: null for an id that is too old, `future` where it refuses. */
export type IdStatus = 'committed' | 'aborted' | 'in progress' | 'future' | null;

/**
 * How the transaction of `mark` ended; `running`: it has not. An id is believed only where it can't stand for
 * another transaction: on the same timeline of the same system, and behind a crash only where the recovery
 * has seen it.
 */
export function outcomeOf(
  { origin }: TransactionMark,
  report: ServerReport,
  status: IdStatus,
): CommitOutcome | 'running' {
  if (report.server !== origin.server || !report.server.includes('/')) return 'unknown';
  const hasCrashed = report.life !== origin.life;
  if (hasCrashed && report.isRecovered && report.isForgotten) return 'aborted';
  switch (status) {
    case 'committed':
      return isDurable(report, hasCrashed) ? 'committed' : 'unknown';
    case 'aborted':
      return 'aborted';
    case 'in progress':
      return 'running';
    case 'future':
      // Handed out before a crash, and not again since.
      return hasCrashed ? 'aborted' : 'unknown';
    case null:
      return 'unknown';
    default:
      return status satisfies never;
  }
}

function isDurable({ isRecovered, isSynchronous, hasEnded }: ServerReport, hasCrashed: boolean): boolean {
  // The id may have been handed out a second time, to a transaction that was committed.
  if (hasCrashed && !isRecovered) return false;
  // A session that is ended while it waits for a standby gives up waiting, and commits.
  return !(isSynchronous && hasEnded === true);
}
