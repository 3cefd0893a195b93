import { BufferedResult } from './buffered-result.js';
import type { ColumnReference } from './projection.js';

/** What buffered results answer whose elements are rows, and not single values. */
export abstract class BufferedRows<R> extends BufferedResult<R> {
  /** The column names in order, also after the end; names that occur twice are there twice. */
  keys(): string[] {
    return this.reader.project(this.cursor.shape).fields.map(({ name }) => name);
  }

  /** The next row or undefined; does not close the result. */
  fetchOne(): R | undefined {
    const row = this.takeRow();
    return row && this.read(row);
  }

  /** Reads only `columns` from here on. A column that the rows do not have is refused and changes nothing. */
  protected narrow(columns: readonly ColumnReference[]): void {
    const narrowed = this.reader.select<R>(columns);
    narrowed.project(this.cursor.shape);
    this.reader = narrowed;
  }
}
