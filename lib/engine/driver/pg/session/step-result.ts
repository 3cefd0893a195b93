import type { CommandResult } from '../../driver.js';
import type { PreparedStatement } from '../prepared/prepared-statements.js';
import type { RowLayout } from '../wire/row-builder.js';

export interface StepResult extends CommandResult {
  /** The portal has more rows. */
  readonly isSuspended: boolean;
  layout: RowLayout | undefined;
  shape: RowLayout | undefined;
  /** Rows that can't be read before the database was asked about their types, behind those in `rows`. */
  readonly unread: Buffer[];
}

/** What the server answered to one step; `tag` is what it has done. */
export function stepResult(
  tag: string,
  { layout, rows, unread, isSuspended }: Pick<StepResult, 'layout' | 'rows' | 'unread' | 'isSuspended'>,
): StepResult {
  const space = tag.lastIndexOf(' ');
  const count = space === -1 ? Number.NaN : Number(tag.slice(space + 1));
  return {
    command: Number.isNaN(count) ? tag : tag.slice(0, tag.indexOf(' ')),
    rowCount: Number.isNaN(count) ? -1 : count,
    shape: layout,
    layout,
    rows,
    unread,
    isSuspended,
  };
}

/** The types that have to be known before the rows that wait can be read. */
export function unreadTypes(results: readonly StepResult[]): readonly number[] {
  return results.flatMap(({ unread, layout }) => (unread.length === 0 ? [] : (layout?.unknownTypes ?? [])));
}

/** Reads the rows that had to wait for that; `statements` are what each result is of. */
export function readUnread(
  results: readonly StepResult[],
  statements: readonly (PreparedStatement | undefined)[],
  refuse: (cause: unknown) => void,
): void {
  for (const [index, result] of results.entries()) {
    if (result.unread.length === 0 || result.layout === undefined) continue;
    const layout = result.layout.renewed();
    result.layout = layout;
    result.shape = layout;
    const statement = statements[index];
    if (statement?.layout !== undefined) statement.layout = layout;
    try {
      for (const row of result.unread) result.rows.push(layout.build(row, 0, row.length));
    } catch (cause) {
      refuse(cause);
    }
  }
}
