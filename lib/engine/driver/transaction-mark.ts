/** Which process of which server a session has, as far as another session can see that. */
export interface SessionOrigin {
  readonly pid: number;
  /** When the process was started, in seconds: its number may be used again. */
  readonly startedAt: string;
  /** The identifier of the database system, and its timeline, which is missing on a standby. */
  readonly server: string;
  /** When the server's statistics were last reset, which a crash does: ids may be used again behind one. */
  readonly life: string;
}

/** The transaction that a session is in, for another session to ask how it ended. */
export interface TransactionMark {
  /** Undefined: it had none when it was last asked. */
  readonly id: string | undefined;
  /**
   * False: without an id it may have an effect nevertheless. A question has no answer yet, or there may be
   * notifications, which get an id during COMMIT.
   */
  readonly isPlain: boolean;
  readonly origin: SessionOrigin;
}

/** What identifies the server that a session is on; the same columns for those who compare. */
export const SERVER_COLUMNS = `
  pg_catalog.concat_ws('/', (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
    CASE WHEN NOT pg_catalog.pg_is_in_recovery()
      THEN pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) END) AS server,
  extract(epoch FROM pg_catalog.pg_stat_get_bgwriter_stat_reset_time())::text AS life`;

/** When a backend was started, of a row of `pg_stat_get_activity()`. */
export const STARTED_AT = 'extract(epoch FROM backend_start)::text';
