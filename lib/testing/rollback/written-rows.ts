import type { DriverConnection } from '../../engine/index.js';
import { unprepared } from './piece.js';

// Catalogs are among them, so that DDL counts; what a function or a DO block does, counts like any statement.
const TALLY = unprepared(
  'SELECT COALESCE(sum(pg_stat_get_xact_tuples_inserted(oid) + pg_stat_get_xact_tuples_updated(oid) + ' +
    "pg_stat_get_xact_tuples_deleted(oid)), 0)::text AS rows FROM pg_catalog.pg_class WHERE relkind IN ('r', 't', 'm')",
);

/** Counts the rows that the transaction of `session` has written so far, by whatever statement. */
export async function writtenRows(session: DriverConnection): Promise<number> {
  const { rows } = await session.execute([], TALLY);
  return Number(Object.values(rows[0] ?? {})[0]);
}
