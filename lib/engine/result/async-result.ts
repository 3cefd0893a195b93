import type { DriverRow } from '../driver/driver.js';
import { freezeRows, type FrozenResult } from './cursor-result.js';
import type { ColumnReference } from './projection.js';
import { RowReader } from './row-reader.js';
import { RowStream } from './row-stream.js';
import type { StreamHooks, StreamOptions, StreamSource } from './stream-source.js';
import { StreamedResult, StreamedRows } from './streamed-result.js';

/**
 * The values of one column over a server-side cursor; made by `scalars()`. NULL is a value like any other:
 * `null`.
 */
export class AsyncScalarResult<T = unknown> extends StreamedResult<T> {}

/**
 * Rows over a server-side cursor as plain objects by column name; made by `mappings()`. Where columns share a
 * name the last wins.
 */
export class AsyncMappingResult<R = Record<string, unknown>> extends StreamedRows<R> {
  /** Keeps only these columns, in this order; see `AsyncResult.columns()`. */
  columns<K extends keyof R & string>(...columns: readonly K[]): AsyncMappingResult<Pick<R, K>>;
  columns<S = Record<string, unknown>>(...columns: readonly ColumnReference[]): AsyncMappingResult<S>;
  columns(...columns: readonly ColumnReference[]): unknown {
    this.narrow(columns);
    return this;
  }
}

/**
 * Rows over a server-side cursor as arrays by position; made by `tuples()`. Columns that share a name all
 * keep their values.
 */
export class AsyncTupleResult<T extends readonly unknown[] = unknown[]> extends StreamedRows<T> {
  /** Keeps only these columns, in this order; see `AsyncResult.columns()`. */
  columns<S extends readonly unknown[] = unknown[]>(
    ...columns: readonly ColumnReference[]
  ): AsyncTupleResult<S>;
  columns(...columns: readonly ColumnReference[]): unknown {
    this.narrow(columns);
    return this;
  }
}

/**
 * What a statement returns, row by row over a server-side cursor, as plain objects by column name.
 *
 * Where two columns share a name the last wins in an object; `tuples()`, `columns(position)` and
 * `scalars(position)` reach each. 1000 rows are fetched at a time, of wide rows fewer behind the first fetch,
 * unless `yieldPer` or `maxRowBuffer` says otherwise, and one batch ahead. A failure of the batch fetched
 * ahead shows when the rows before it were read.
 *
 * @example
 * ```ts
 * for await (const page of engine.stream(sql`SELECT * FROM events`).partitions(500)) {
 *   await archiveAll(page);
 * }
 * ```
 */
export class AsyncResult<R = Record<string, unknown>> extends StreamedRows<R> {
  /** @internal */
  constructor(source: StreamSource, options?: StreamOptions, hooks?: StreamHooks) {
    super(new RowStream(source, options, hooks), new RowReader<R>('object'));
  }

  /**
   * Keeps only these columns, in this order; returns this result, whose rows have changed. A number is a
   * position among the present columns, counted from the end when negative. A column that the rows do not
   * have is an {@link ArgumentError} of the next question, because nothing is known of the rows before.
   */
  columns<K extends keyof R & string>(...columns: readonly K[]): AsyncResult<Pick<R, K>>;
  columns<S = Record<string, unknown>>(...columns: readonly ColumnReference[]): AsyncResult<S>;
  columns(...columns: readonly ColumnReference[]): unknown {
    this.narrow(columns);
    return this;
  }

  /** The first column of the next row, undefined without a row; `null` is SQL's NULL. Closes the stream. */
  scalar<T = R[keyof R]>(): Promise<T | undefined> {
    return this.guard(async () => {
      const row = await this.takeFirst();
      return row && this.#firstValueOf<T>(row);
    });
  }

  /**
   * The first column of the only row; {@link NoResultFoundError} or {@link MultipleResultsFoundError}
   * otherwise. Closes the stream.
   */
  scalarOne<T = R[keyof R]>(): Promise<T> {
    return this.guard(async () => this.#firstValueOf<T>(await this.takeOne('scalarOne')));
  }

  /**
   * The first column of the only row, undefined without a row; {@link MultipleResultsFoundError} when there
   * are more. Closes the stream.
   */
  scalarOneOrNone<T = R[keyof R]>(): Promise<T | undefined> {
    return this.guard(async () => {
      const row = await this.takeOnly('scalarOneOrNone');
      return row && this.#firstValueOf<T>(row);
    });
  }

  /** A view of one column, by name or by position (default 0, from the end when negative). */
  scalars<K extends keyof R & string>(column: K): AsyncScalarResult<R[K]>;
  scalars<T = R[keyof R]>(column?: ColumnReference): AsyncScalarResult<T>;
  scalars(column: ColumnReference = 0): AsyncScalarResult {
    return new AsyncScalarResult(this.stream, this.reader.select([column], 'scalar'));
  }

  /** A view of the rows as plain objects by column name. */
  mappings(): AsyncMappingResult<R> {
    return new AsyncMappingResult(this.stream, this.reader.as<R>('object'));
  }

  /** A view of the rows as arrays by position. */
  tuples<T extends readonly unknown[] = unknown[]>(): AsyncTupleResult<T> {
    return new AsyncTupleResult(this.stream, this.reader.as<T>('tuple'));
  }

  /**
   * Takes the remaining rows into memory, with `columns()` and `unique()` applied; call what you get for a
   * fresh buffered result.
   */
  freeze(): Promise<FrozenResult<R>> {
    return this.guard(async () => {
      const lists: DriverRow[][] = [];
      while (await this.stream.fill()) lists.push(this.reader.takeRest(this.stream, this.stream.shape));
      return freezeRows('SELECT', this.stream.shape, this.reader, lists.flat());
    });
  }

  #firstValueOf<T>(row: DriverRow): T {
    return this.reader.project(this.stream.shape).firstValueOf(row) as T;
  }
}
