import type { ColumnReference } from './projection.js';
import { StreamedResult } from './streamed-result.js';

/** What streamed results answer whose elements are rows, and not single values. */
export abstract class StreamedRows<R> extends StreamedResult<R> {
  /**
   * The column names in order, also after the end; names that occur twice are there twice. Opens the stream
   * if need be.
   */
  async keys(): Promise<string[]> {
    return await this.guard(async () => {
      if (!this.stream.isOpened) await this.stream.open();
      return this.reader.project(this.stream.shape).fields.map(({ name }) => name);
    });
  }

  /** The next row or undefined; does not close the stream. */
  fetchOne(): Promise<R | undefined> {
    return this.guard(async () => {
      const row = await this.takeRow();
      return row && this.read(row);
    });
  }

  /** Reads only `columns` from here on. */
  protected narrow(columns: readonly ColumnReference[]): void {
    this.reader = this.reader.select<R>(columns);
  }
}
