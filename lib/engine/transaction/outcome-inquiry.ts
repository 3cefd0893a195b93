import { setTimeout as wait } from 'node:timers/promises';
import { SERVER_COLUMNS, STARTED_AT, type TransactionMark } from '../driver/transaction-mark.js';
import type { DriverConnection } from '../driver/driver.js';
import { DBAPIError, ResourceClosedError } from '../errors/errors.js';
import { sqlStateOf } from '../errors/sqlstate.js';
import { outcomeOf, type CommitOutcome, type IdStatus, type ServerReport } from './outcome.js';

/** What is borrowed for a question. */
interface Loan {
  readonly session: DriverConnection;
  invalidate(cause: unknown): void;
  close(): Promise<void>;
}

type LostSession = Pick<DriverConnection, 'transactionMark'>;

/** What an inquiry needs of the engine. Times in ms. */
export interface InquiryHost {
  readonly pool: { connect(options: { readonly timeout: number }): Promise<Loan> };
  readonly commitTimeout: number;
  readonly watchdog: { watch(timeout: number, expire: () => void): () => void };
}

const FIRST_DELAY = 5;
const LONGEST_DELAY = 500;

/**
 * Ends the old session, which may never hear that its client has gone. One that waits for a standby is left
 * alone: it would give up waiting, and commit.
 */
const REPORT = `SELECT ${SERVER_COLUMNS},
  redo_lsn = checkpoint_lsn AND pg_catalog.current_setting('wal_level') <> 'minimal'
    AND pg_catalog.pg_postmaster_start_time() < reset
    AND checkpoint_time >= pg_catalog.date_trunc('second', reset) AS "isRecovered",
  pg_catalog.split_part(next_xid, ':', 1)::numeric * 4294967296
    + pg_catalog.split_part(next_xid, ':', 2)::numeric <= $1::numeric AS "isForgotten",
  pg_catalog.current_setting('synchronous_standby_names') <> '' AS "isSynchronous",
  (SELECT pg_catalog.bool_or(pg_catalog.pg_terminate_backend(pid))
    FROM pg_catalog.pg_stat_get_activity($2::int) WHERE ${STARTED_AT} = $3::text
      AND (wait_event = 'ClientRead'
        OR pg_catalog.current_setting('synchronous_standby_names') = '')) AS "hasEnded"
  FROM pg_catalog.pg_control_checkpoint(), pg_catalog.pg_stat_get_bgwriter_stat_reset_time() AS reset`;

const STATUS = 'SELECT pg_catalog.pg_xact_status($1::text::xid8) AS status';
const IN_THE_FUTURE = '22023';

/** Asks another session how the COMMIT of a transaction ended whose connection is lost. */
export class OutcomeInquiry {
  /** The one that is lost: what it has learned of its transaction stays with it. */
  readonly #lost: LostSession;
  readonly #host: InquiryHost;
  #hasEnded = false;

  constructor(lost: LostSession, host: InquiryHost) {
    this.#lost = lost;
    this.#host = host;
  }

  get transactionId(): string | undefined {
    return this.#lost.transactionMark?.id;
  }

  /** Never rejects: what can't be asked within `commitTimeout` is unknown. */
  async outcome(): Promise<CommitOutcome> {
    const mark = this.#lost.transactionMark;
    if (mark?.id === undefined) return mark?.isPlain === true ? 'aborted' : 'unknown';
    const deadline = performance.now() + this.#host.commitTimeout;
    for (let delay = FIRST_DELAY; ; delay = Math.min(2 * delay, LONGEST_DELAY)) {
      const outcome = await this.#ask(mark, deadline);
      if (outcome !== 'running') return outcome;
      const left = deadline - performance.now();
      if (left <= 0) return 'unknown';
      await wait(Math.min(delay, left));
    }
  }

  /** `running` also where no session could be had, or it was lost: the server may come back. */
  async #ask(mark: TransactionMark, deadline: number): Promise<CommitOutcome | 'running'> {
    const { pool } = this.#host;
    let loan: Loan;
    try {
      loan = await pool.connect({ timeout: Math.max(1, deadline - performance.now()) });
    } catch (error) {
      return error instanceof ResourceClosedError && pool === this.#host.pool ? 'unknown' : 'running';
    }
    const { session } = loan;
    const unwatch = this.#host.watchdog.watch(Math.max(1, deadline - performance.now()), () =>
      session.terminate(),
    );
    try {
      return await this.#askOn(session, mark);
    } catch (error) {
      const isLost = error instanceof DBAPIError && error.connectionInvalidated;
      if (isLost) loan.invalidate(error);
      return isLost ? 'running' : 'unknown';
    } finally {
      unwatch();
      await loan.close();
    }
  }

  async #askOn(session: DriverConnection, mark: TransactionMark): Promise<CommitOutcome | 'running'> {
    const { id, origin } = mark;
    const { rows } = await session.execute([], {
      text: REPORT,
      values: [id, origin.pid, origin.startedAt],
      prepare: false,
    });
    const report = rows[0] as unknown as ServerReport;
    this.#hasEnded ||= report.hasEnded === true;
    // Behind the end of the old session, so that nothing can change any more once it is settled.
    const status = await statusOf(session, id);
    return outcomeOf(mark, { ...report, hasEnded: this.#hasEnded }, status);
  }
}

async function statusOf(session: DriverConnection, id: string | undefined): Promise<IdStatus> {
  try {
    const { rows } = await session.execute([], { text: STATUS, values: [id], prepare: false });
    return (rows[0] as unknown as { readonly status: IdStatus }).status;
  } catch (error) {
    if (sqlStateOf(error) === IN_THE_FUTURE) return 'future';
    throw error;
  }
}
