import type { ColumnReference } from './projection.js';
import { StreamedRows } from './streamed-rows.js';

/**
 * Rows over a server-side cursor as arrays by position; made by `tuples()`. Columns that share a name all
 * keep their values.
 */
export class AsyncTupleResult<T extends readonly unknown[] = unknown[]> extends StreamedRows<T> {
  /**
   * Keeps only these columns, in this order; returns this result, whose rows have changed. A number is a
   * position among the present columns, counted from the end when negative. A column that the rows do not
   * have is an {@link ArgumentError} of the next question, because nothing is known of the rows before.
   */
  columns<S extends readonly unknown[] = unknown[]>(
    ...columns: readonly ColumnReference[]
  ): AsyncTupleResult<S>;
  columns(...columns: readonly ColumnReference[]): unknown {
    this.narrow(columns);
    return this;
  }
}
