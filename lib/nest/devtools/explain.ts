import { ArgumentError } from '../../engine/index.js';
import type { SideConnection } from './side-connection.js';

const READ_ONLY = { kind: 'begin', text: 'BEGIN READ ONLY' } as const;

const EXPLAINABLE = /^\s*(?:SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES|TABLE)\b/i;

/**
 * The plan of a statement, by the values of its last run, in a read-only transaction that is rolled back.
 * `analyze` runs it.
 *
 * @throws ArgumentError for a statement that has no plan.
 */
export async function explain(
  side: SideConnection,
  { sql, values }: { readonly sql: string; readonly values: readonly unknown[] },
  analyze: boolean,
): Promise<string> {
  if (!EXPLAINABLE.test(sql)) {
    throw new ArgumentError(
      'only SELECT, INSERT, UPDATE, DELETE, MERGE, WITH, VALUES and TABLE have a plan.',
    );
  }
  const mode = analyze ? 'ANALYZE, BUFFERS' : 'COSTS';
  const rows = await side.ask(`EXPLAIN (${mode}) ${sql}`, values, [READ_ONLY]);
  return rows.map((row) => String(row['QUERY PLAN'])).join('\n');
}
