import { ArgumentError, InvalidRequestError } from '../../engine/index.js';
import { errorText } from './recording/error-text.js';
import type { SideConnection } from './side-connection.js';

const READ_ONLY = { kind: 'begin', text: 'BEGIN READ ONLY' } as const;

const EXPLAINABLE = /^\s*(?:SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES|TABLE)\b/i;

/**
 * The plan of a statement, by the values of its last run, in a read-only transaction that is rolled back.
 * `analyze` runs it.
 *
 * @throws ArgumentError for a statement that has no plan, InvalidRequestError where the server refuses it.
 */
export async function explain(
  side: SideConnection,
  { sql, values }: { readonly sql: string; readonly values: readonly unknown[] },
  { analyze, showValues }: { readonly analyze: boolean; readonly showValues: boolean },
): Promise<string> {
  if (!EXPLAINABLE.test(sql)) {
    throw new ArgumentError(
      'only SELECT, INSERT, UPDATE, DELETE, MERGE, WITH, VALUES and TABLE have a plan.',
    );
  }
  const mode = analyze ? 'ANALYZE, BUFFERS' : 'COSTS';
  try {
    const rows = await side.ask(`EXPLAIN (${mode}) ${sql}`, values, [READ_ONLY]);
    const plan = rows.map((row) => String(row['QUERY PLAN'])).join('\n');
    return showValues ? plan : withoutValues(plan);
  } catch (error) {
    throw new InvalidRequestError(errorText(error, values, showValues), { cause: error });
  }
}

const CONDITION =
  /^([ >-]*(?!Rows Removed)[\w -]*(?:Cond|Condition|Filter|Key|By|Output|Call|Sampling|SQL): )(.*)$/gm;

/** A plan in which each literal, also one of the statement itself, is left out. */
function withoutValues(plan: string): string {
  return plan
    .replaceAll(/'(?:[^']|'')*'/g, `'…'`)
    .replaceAll(
      CONDITION,
      (_, label: string, rest: string) => label + rest.replaceAll(/(?<![\w$".])\d[\d.]*/g, '…'),
    );
}
