import { BufferedRows } from './buffered-rows.js';
import type { ColumnReference } from './projection.js';

/**
 * Rows in memory as arrays by position; made by `tuples()`. Columns that share a name all keep their values.
 */
export class TupleResult<T extends readonly unknown[] = unknown[]> extends BufferedRows<T> {
  /**
   * Keeps only these columns, in this order; returns this result, whose rows have changed. A number is a
   * position among the present columns, counted from the end when negative. Throws {@link ArgumentError} for
   * a column that the rows do not have.
   */
  columns<S extends readonly unknown[] = unknown[]>(...columns: readonly ColumnReference[]): TupleResult<S>;
  columns(...columns: readonly ColumnReference[]): unknown {
    this.narrow(columns);
    return this;
  }
}
