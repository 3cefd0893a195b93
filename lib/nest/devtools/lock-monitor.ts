import { placeText } from './recording/place.js';
import type { Holder } from './recording/pool-monitor.js';
import type { SideConnection } from './side-connection.js';
import type { LockView } from './recording/views.js';

const WAITING = `
  WITH waiting AS (
    SELECT pid, pg_blocking_pids(pid) AS blocked_by FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND datname = current_database())
  SELECT a.pid, a.application_name AS application, COALESCE(w.blocked_by, '{}') AS blocked_by, COALESCE(a.state, '') AS state, COALESCE(a.query, '') AS sql,
    (EXTRACT(EPOCH FROM clock_timestamp() - a.query_start) * 1000)::float8 AS waiting
  FROM pg_stat_activity a LEFT JOIN waiting w USING (pid)
  WHERE w.pid IS NOT NULL OR a.pid IN (SELECT unnest(blocked_by) FROM waiting)
  ORDER BY a.pid LIMIT 200`;

interface WaitingRow {
  readonly pid: number;
  readonly application: string | null;
  readonly blocked_by: readonly number[];
  readonly state: string;
  readonly sql: string;
  readonly waiting: number | null;
}

/** What is shown of the sessions of an engine, and of others. */
interface LockParts {
  readonly engine: string;
  /** False: of the sessions of other applications, their texts are hidden. */
  readonly showsOthers: boolean;
  /** Undefined for a session of another application. */
  readonly holderOf: (pid: number) => Holder | undefined;
}

/** Who waits for whom on the server, with the names that this application has for its own sessions. */
export async function readLocks(
  side: SideConnection,
  { engine, showsOthers, holderOf }: LockParts,
): Promise<LockView[]> {
  const rows = (await side.ask(WAITING)) as unknown as readonly WaitingRow[];
  return rows.map((row) => {
    const holder = holderOf(row.pid);
    return {
      engine,
      pid: row.pid,
      application: row.application ?? '',
      blockedBy: row.blocked_by,
      label: holder?.label,
      site: holder?.site && placeText(holder.site),
      state: row.state,
      sql: holder !== undefined || showsOthers ? row.sql : undefined,
      waiting: row.waiting ?? undefined,
    };
  });
}
