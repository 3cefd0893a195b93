import { BufferedResult, BufferedRows } from './buffered-result.js';
import type { CommandResult, DriverRow, Field, RowShape } from '../driver/driver.js';
import type { ColumnReference } from './projection.js';
import { noRowFound } from './result-errors.js';
import { RowBuffer } from './row-buffer.js';
import { RowReader } from './row-reader.js';

/** The values of one column, in memory; made by `scalars()`. NULL is a value like any other: `null`. */
export class ScalarResult<T = unknown> extends BufferedResult<T> {}

/**
 * Rows in memory as plain objects by column name; made by `mappings()`. Where columns share a name the last
 * wins.
 */
export class MappingResult<R = Record<string, unknown>> extends BufferedRows<R> {
  /** Keeps only these columns, in this order; see `CursorResult.columns()`. */
  columns<K extends keyof R & string>(...columns: readonly K[]): MappingResult<Pick<R, K>>;
  columns<S = Record<string, unknown>>(...columns: readonly ColumnReference[]): MappingResult<S>;
  columns(...columns: readonly ColumnReference[]): unknown {
    this.narrow(columns);
    return this;
  }
}

/**
 * Rows in memory as arrays by position; made by `tuples()`. Columns that share a name all keep their values.
 */
export class TupleResult<T extends readonly unknown[] = unknown[]> extends BufferedRows<T> {
  /** Keeps only these columns, in this order; see `CursorResult.columns()`. */
  columns<S extends readonly unknown[] = unknown[]>(...columns: readonly ColumnReference[]): TupleResult<S>;
  columns(...columns: readonly ColumnReference[]): unknown {
    this.narrow(columns);
    return this;
  }
}

/**
 * Rows that were taken from a result: each call gives a fresh result over all of them. The row objects are
 * shared, not copied.
 */
export type FrozenResult<R = Record<string, unknown>> = () => CursorResult<R>;

/**
 * What a statement returned: its rows, in memory, as plain objects by column name.
 *
 * Where two columns share a name the last wins in an object; `tuples()`, `columns(position)` and
 * `scalars(position)` reach each. Rows are handed out as the driver made them, without a copy.
 */
export class CursorResult<R = Record<string, unknown>> extends BufferedRows<R> {
  /** @internal */
  constructor(result: CommandResult) {
    super(new RowBuffer(result), new RowReader<R>('object'));
  }

  /**
   * Rows affected, or returned; -1 where the server gives no number. Known at once and kept after the end.
   */
  get rowCount(): number {
    return this.cursor.rowCount;
  }

  /** False for a statement without rows, such as an INSERT without RETURNING. */
  get returnsRows(): boolean {
    return this.cursor.returnsRows;
  }

  /** The present columns, each with its name and the oid of its type; empty for a statement without rows. */
  get fields(): readonly Field[] {
    return this.cursor.returnsRows ? this.reader.project(this.cursor.shape).fields : [];
  }

  /**
   * Keeps only these columns, in this order; returns this result, whose rows have changed. A number is a
   * position among the present columns, counted from the end when negative. Throws {@link ArgumentError} for
   * a column that the rows do not have.
   */
  columns<K extends keyof R & string>(...columns: readonly K[]): CursorResult<Pick<R, K>>;
  columns<S = Record<string, unknown>>(...columns: readonly ColumnReference[]): CursorResult<S>;
  columns(...columns: readonly ColumnReference[]): unknown {
    this.narrow(columns);
    return this;
  }

  /** The first column of the next row, undefined without a row; `null` is SQL's NULL. Closes the result. */
  scalar<T = R[keyof R]>(): T | undefined {
    const row = this.takeFirst();
    return row && (this.reader.project(this.cursor.shape).firstValueOf(row) as T);
  }

  /**
   * The first column of the only row; {@link NoResultFoundError} or {@link MultipleResultsFoundError}
   * otherwise. Closes the result.
   */
  scalarOne<T = R[keyof R]>(): T {
    const shape = this.cursor.expectOpen();
    const row = this.takeOnly('scalarOne', shape);
    if (row === undefined) throw noRowFound('scalarOne');
    return this.reader.project(shape).firstValueOf(row) as T;
  }

  /**
   * The first column of the only row, undefined without a row; {@link MultipleResultsFoundError} when there
   * are more. Closes the result.
   */
  scalarOneOrNone<T = R[keyof R]>(): T | undefined {
    const shape = this.cursor.expectOpen();
    const row = this.takeOnly('scalarOneOrNone', shape);
    return row && (this.reader.project(shape).firstValueOf(row) as T);
  }

  /** A view of one column, by name or by position (default 0, from the end when negative). */
  scalars<K extends keyof R & string>(column: K): ScalarResult<R[K]>;
  scalars<T = R[keyof R]>(column?: ColumnReference): ScalarResult<T>;
  scalars(column: ColumnReference = 0): ScalarResult {
    const reader = this.reader.select([column], 'scalar');
    reader.project(this.cursor.shape);
    return new ScalarResult(this.cursor, reader);
  }

  /** A view of the rows as plain objects by column name. */
  mappings(): MappingResult<R> {
    return new MappingResult(this.cursor, this.reader.as<R>('object'));
  }

  /** A view of the rows as arrays by position. */
  tuples<T extends readonly unknown[] = unknown[]>(): TupleResult<T> {
    return new TupleResult(this.cursor, this.reader.as<T>('tuple'));
  }

  /**
   * Takes the remaining rows, with `columns()` and `unique()` applied; call what you get for a fresh result
   * over them.
   */
  freeze(): FrozenResult<R> {
    const shape = this.cursor.expectOpen();
    const rows = this.reader.takeRest(this.cursor, shape);
    return freezeRows(this.cursor.command, shape, this.reader, rows, (result) => new CursorResult<R>(result));
  }
}

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
