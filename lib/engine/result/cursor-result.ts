import { expectArgument } from '../util/argument.js';
import { synchronousRule } from '../util/option-rule.js';
import type { CommandResult, DriverRow, Field, RowShape } from '../driver/driver.js';
import type { ColumnReference } from './projection.js';
import { expectCount, noRowFound, severalRowsFound, type OneRowQuestion } from './result-errors.js';
import { RowBuffer } from './row-buffer.js';
import { RowReader } from './row-reader.js';
import { inspect } from '../errors/node-modules.js';

/** What most results begin with: each keeps its filters in a reader of its own. */
const AS_OBJECTS = new RowReader<unknown>('object');

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
    if (key !== undefined) expectArgument('unique(key)', synchronousRule, key);
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
abstract class BufferedRows<R> extends BufferedResult<R> {
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
    super(new RowBuffer(result), AS_OBJECTS as RowReader<R>);
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
    return freezeRows(this.cursor.command, shape, this.reader, rows);
  }
}

/**
 * Keeps `rows` as `reader` sees them: its columns, by position where columns were selected so that nothing is
 * lost where two have one name. The rows can't be changed: each result of it shows the same ones.
 */
export function freezeRows<R>(
  command: string,
  shape: RowShape,
  reader: RowReader<R>,
  rows: readonly DriverRow[],
): FrozenResult<R> {
  const projection = reader.project(shape);
  const frozen = projection.isIdentity
    ? { shape, rows }
    : {
        shape: { fields: projection.fields, keyed: false },
        rows: rows.map((row) => projection.valuesOf(row)),
      };
  for (const row of frozen.rows) Object.freeze(row);
  // Each result gets an array of its own, because all() hands the array to the user.
  const fresh = (): CursorResult<R> =>
    new CursorResult({
      command,
      rowCount: frozen.rows.length,
      shape: frozen.shape,
      rows: frozen.rows.slice(),
    });
  // A handler may return it by mistake, and the text of a function is its source.
  return Object.assign(fresh, {
    toJSON: () => fresh().toJSON(),
    toString: () => JSON.stringify(fresh()),
    [inspect.custom]: () => `FrozenResult { ${frozen.rows.length} rows }`,
  });
}
