import { BufferedRows } from './buffered-rows.js';
import type { ColumnReference } from './projection.js';

/**
 * Rows in memory as plain objects by column name; made by `mappings()`. Where columns share a name the last
 * wins.
 */
export class MappingResult<R = Record<string, unknown>> extends BufferedRows<R> {
  /**
   * Keeps only these columns, in this order; returns this result, whose rows have changed. A number is a
   * position among the present columns, counted from the end when negative. Throws {@link ArgumentError} for
   * a column that the rows do not have.
   */
  columns<K extends keyof R & string>(...columns: readonly K[]): MappingResult<Pick<R, K>>;
  columns<S = Record<string, unknown>>(...columns: readonly ColumnReference[]): MappingResult<S>;
  columns(...columns: readonly ColumnReference[]): unknown {
    this.narrow(columns);
    return this;
  }
}
