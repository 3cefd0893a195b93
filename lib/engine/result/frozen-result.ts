import type { CommandResult, DriverRow, RowShape } from '../driver/driver.js';
import type { RowReader } from './row-reader.js';

/**
 * Keeps `rows` as `reader` sees them: its columns, by position where columns were selected so that nothing is
 * lost where two have one name. The rows can't be changed: each result of it shows the same ones.
 */
export function freezeRows<R, Result>(
  command: string,
  shape: RowShape,
  reader: RowReader<R>,
  rows: readonly DriverRow[],
  thaw: (result: CommandResult) => Result,
): () => Result {
  const projection = reader.project(shape);
  const frozen = projection.isIdentity
    ? { shape, rows }
    : {
        shape: { fields: projection.fields, keyed: false },
        rows: rows.map((row) => projection.valuesOf(row)),
      };
  for (const row of frozen.rows) Object.freeze(row);
  // Each result gets an array of its own, because all() hands the array to the user.
  return () =>
    thaw({ command, rowCount: frozen.rows.length, shape: frozen.shape, rows: frozen.rows.slice() });
}
