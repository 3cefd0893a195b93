import { inspect } from 'node:util';
import { expectFunction } from '../util/argument.js';
import type { DriverRow, RowShape } from '../driver/driver.js';
import type { ColumnReference } from './projection.js';
import { expectCount, noRowFound, severalRowsFound, type OneRowQuestion } from './result-errors.js';
import type { RowBuffer } from './row-buffer.js';
import type { RowReader } from './row-reader.js';

/**
 * The questions that every buffered result answers, whatever the form of its elements.
 *
 * A result that was read to its end stays open and has no more rows; `close()` and the questions for one row
 * close it, and every further question for rows throws {@link ResourceClosedError}. So does every such
 * question to a statement that returns no rows. Views made by `scalars()`, `mappings()` and `tuples()` share
 * the cursor: a row read from one is gone from all.
 */
export abstract class BufferedResult<T> implements Iterable<T>, Disposable {
  protected readonly cursor: RowBuffer;
  protected reader: RowReader<T>;

  /** @internal */
  constructor(cursor: RowBuffer, reader: RowReader<T>) {
    this.cursor = cursor;
    this.reader = reader;
  }

  /** True after `close()` or a question for one row; not when the rows are merely used up. */
  get closed(): boolean {
    return this.cursor.isClosed;
  }

  /** The remaining elements. */
  all(): T[] {
    return this.reader.readRest(this.cursor, this.cursor.expectOpen());
  }

  /** The same as {@link all}. */
  fetchAll(): T[] {
    return this.all();
  }

  /** Up to `count` further elements, fewer at the end; by default as many as `yieldPer()` said, else one. */
  fetchMany(count: number = this.cursor.rowsPerFetch): T[] {
    expectCount('fetchMany()', count);
    const elements: T[] = [];
    while (elements.length < count) {
      const row = this.takeRow();
      if (row === undefined) break;
      elements.push(this.read(row));
    }
    return elements;
  }

  /**
   * Lists of `size` elements, the last one shorter, none empty; by default as many as `yieldPer()` said, else
   * one.
   */
  partitions(size: number = this.cursor.rowsPerFetch): IterableIterator<T[]> {
    return this.#partitions(expectCount('partitions()', size));
  }

  /** The next element or undefined; closes the result. */
  first(): T | undefined {
    const row = this.takeFirst();
    return row && this.read(row);
  }

  /**
   * The only element; {@link NoResultFoundError} or {@link MultipleResultsFoundError} otherwise. Closes the
   * result.
   */
  one(): T {
    const shape = this.cursor.expectOpen();
    const row = this.takeOnly('one', shape);
    if (row === undefined) throw noRowFound('one');
    return this.reader.read(row, shape);
  }

  /**
   * The only element or undefined; {@link MultipleResultsFoundError} when there are more. Closes the result.
   */
  oneOrNone(): T | undefined {
    const shape = this.cursor.expectOpen();
    const row = this.takeOnly('oneOrNone', shape);
    return row && this.reader.read(row, shape);
  }

  /**
   * Leaves out repetitions from here on; returns this result.
   *
   * `key` is asked about each element in its present form, and elements with the same key (as in a `Set`) are
   * the same. Without it, elements are the same when all their columns are: dates, bytes, arrays and JSON by
   * value. Views made later leave out repetitions too: by the same key, or by the columns that they have.
   */
  unique(key?: (element: T) => unknown): this {
    if (key !== undefined) expectFunction('unique(key)', key);
    this.reader = this.reader.unique(key, () => this.cursor.shape);
    return this;
  }

  /** Sets how many elements `fetchMany()` and `partitions()` give without a number; returns this result. */
  yieldPer(count: number): this {
    this.cursor.rowsPerFetch = expectCount('yieldPer()', count);
    return this;
  }

  /** Drops the remaining rows. */
  close(): void {
    this.cursor.close();
  }

  /** The remaining elements, one by one. A loop that was left can be taken up again by another. */
  *[Symbol.iterator](): IterableIterator<T> {
    for (let row = this.takeRow(); row !== undefined; row = this.takeRow()) yield this.read(row);
  }

  /** For `using`: `close()`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * What `JSON.stringify()` writes: the remaining elements, which stay where they are. Of a statement that
   * returns no rows, its count.
   *
   * @throws ResourceClosedError once the result is closed.
   */
  toJSON(): T[] | { readonly rowCount: number } {
    if (!this.cursor.returnsRows) return { rowCount: this.cursor.rowCount };
    return this.reader.peek(this.cursor, this.cursor.expectOpen());
  }

  /** @internal */
  [inspect.custom](): string {
    const { isClosed, returnsRows, rowCount, rowsLeft } = this.cursor;
    const content = returnsRows ? `${rowsLeft} rows left` : `rowCount ${rowCount}`;
    return `${this.constructor.name} { ${isClosed ? 'closed' : content} }`;
  }

  protected read(row: DriverRow): T {
    return this.reader.read(row, this.cursor.shape);
  }

  protected takeRow(): DriverRow | undefined {
    return this.reader.take(this.cursor, this.cursor.expectOpen());
  }

  protected takeFirst(): DriverRow | undefined {
    const row = this.takeRow();
    this.close();
    return row;
  }

  protected takeOnly(question: OneRowQuestion, shape: RowShape): DriverRow | undefined {
    const row = this.reader.take(this.cursor, shape);
    const second = row && this.reader.take(this.cursor, shape);
    this.cursor.close();
    if (second !== undefined) throw severalRowsFound(question);
    return row;
  }

  *#partitions(size: number): IterableIterator<T[]> {
    for (let list = this.fetchMany(size); list.length > 0; list = this.fetchMany(size)) yield list;
  }
}

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
