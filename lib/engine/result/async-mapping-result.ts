import type { ColumnReference } from './projection.js';
import { StreamedRows } from './streamed-rows.js';

/**
 * Rows over a server-side cursor as plain objects by column name; made by `mappings()`. Where columns share a
 * name the last wins.
 */
export class AsyncMappingResult<R = Record<string, unknown>> extends StreamedRows<R> {
  /**
   * Keeps only these columns, in this order; returns this result, whose rows have changed. A number is a
   * position among the present columns, counted from the end when negative. A column that the rows do not
   * have is an {@link ArgumentError} of the next question, because nothing is known of the rows before.
   */
  columns<K extends keyof R & string>(...columns: readonly K[]): AsyncMappingResult<Pick<R, K>>;
  columns<S = Record<string, unknown>>(...columns: readonly ColumnReference[]): AsyncMappingResult<S>;
  columns(...columns: readonly ColumnReference[]): unknown {
    this.narrow(columns);
    return this;
  }
}
