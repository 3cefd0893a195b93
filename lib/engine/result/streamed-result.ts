import { expectArgument } from '../util/argument.js';
import { recordRule, synchronousRule } from '../util/option-rule.js';
import { getDefaultHighWaterMark, Readable, type ReadableOptions } from 'node:stream';
import type { CsvField, DriverRow, Field } from '../driver/driver.js';
import { observableSymbol, toInteropObservable, type InteropObservable } from './observable-interop.js';
import type { ColumnReference } from './projection.js';
import { PullIterator, type Found } from './pull-iterator.js';
import {
  expectCount,
  noRowFound,
  severalRowsFound,
  streamIsNoJson,
  streamIsNotOpen,
  type OneRowQuestion,
} from './result-errors.js';
import type { RowReader } from './row-reader.js';
import type { RowStream } from './row-stream.js';
import { inspect } from '../errors/node-modules.js';
import { COPY, THIS_COPY } from '../errors/copies.js';

/**
 * `objectMode` (default true), `highWaterMark` (in elements, default 16) and `signal`, as Node's `Readable`
 * takes them.
 */
export type RowReadableOptions = Pick<ReadableOptions, 'objectMode' | 'highWaterMark' | 'signal'>;

/**
 * The questions that every streamed result answers, whatever the form of its elements.
 *
 * Nothing is sent before the first of them. The next batch is fetched while one is read, so that memory stays
 * flat. A stream that was read to its end stays open and has no more rows. `close()`, leaving a loop early, a
 * failure and the questions for one row close it, and every further question throws {@link
 * ResourceClosedError}. Views made by `scalars()`, `mappings()` and
 * `tuples()` share the cursor: a row read from one is gone from all.
 */
export abstract class StreamedResult<T> implements AsyncIterable<T>, AsyncDisposable {
  protected readonly stream: RowStream;
  protected reader: RowReader<T>;

  /** @internal */
  get [COPY](): object {
    return THIS_COPY;
  }

  /** @internal */
  constructor(stream: RowStream, reader: RowReader<T>) {
    this.stream = stream;
    this.reader = reader;
  }

  static {
    const symbol = observableSymbol();
    const observe = function (this: StreamedResult<unknown>): InteropObservable<unknown> {
      return this['@@observable']();
    };
    if (symbol !== undefined) Object.defineProperty(this.prototype, symbol, { value: observe });
  }

  /**
   * True after `close()`, an early end, a failure or a question for one row; not when the rows are merely
   * used up.
   */
  get closed(): boolean {
    return this.stream.isClosed;
  }

  /**
   * Sends the statement and waits for the first batch, so that a wrong statement fails here; resolves to this
   * result.
   */
  async open(): Promise<this> {
    await this.stream.open();
    return this;
  }

  /** The remaining elements, in memory. */
  all(): Promise<T[]> {
    return this.guard(async () => {
      const lists: T[][] = [];
      while (await this.stream.fill()) lists.push(this.readAtHand());
      return lists.flat();
    });
  }

  /** The same as {@link all}. */
  fetchAll(): Promise<T[]> {
    return this.all();
  }

  /** Up to `count` further elements, fewer at the end; by default as many as are fetched at a time. */
  async fetchMany(count: number = this.stream.rowsPerFetch): Promise<T[]> {
    expectCount('fetchMany()', count);
    return await this.guard(() => this.#readMany(count));
  }

  /**
   * Lists of `size` elements, the last one shorter, none empty; by default as many as are fetched at a time.
   */
  partitions(size: number = this.stream.rowsPerFetch): AsyncIterableIterator<T[]> {
    expectCount('partitions()', size);
    return new PullIterator(this.stream, async () => {
      const list = await this.#readMany(size);
      return list.length > 0 ? { value: list } : undefined;
    });
  }

  /** The next element or undefined; closes the stream. */
  first(): Promise<T | undefined> {
    return this.guard(async () => {
      const row = await this.takeFirst();
      return row && this.read(row);
    });
  }

  /**
   * The only element; {@link NoResultFoundError} or {@link MultipleResultsFoundError} otherwise. Closes the
   * stream.
   */
  one(): Promise<T> {
    return this.guard(async () => this.read(await this.takeOne('one')));
  }

  /**
   * The only element or undefined; {@link MultipleResultsFoundError} when there are more. Closes the stream.
   */
  oneOrNone(): Promise<T | undefined> {
    return this.guard(async () => {
      const row = await this.takeOnly('oneOrNone');
      return row && this.read(row);
    });
  }

  /**
   * Leaves out repetitions from here on; returns this result. The keys seen are kept in memory.
   *
   * `key` is asked about each element in its present form, and elements with the same key (as in a `Set`) are
   * the same. Without it, elements are the same when all their columns are: dates, bytes, arrays and JSON by
   * value. Views made later leave out repetitions too: by the same key, or by the columns that they have.
   */
  unique(key?: (element: T) => unknown): this {
    if (key !== undefined) expectArgument('unique(key)', synchronousRule, key);
    this.reader = this.reader.unique(key, () => this.stream.shape);
    return this;
  }

  /**
   * Sets the rows per fetch, and what `fetchMany()` and `partitions()` give without a number; returns this
   * result.
   */
  yieldPer(count: number): this {
    this.stream.rowsPerFetch = count;
    return this;
  }

  /** Closes the cursor at once, also while a fetch is pending. One that was never opened sends nothing. */
  close(): Promise<void> {
    return this.stream.close();
  }

  /** The remaining elements, one by one. Leaving the loop early closes the stream. */
  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    const wrap = (row: DriverRow | undefined): Found<T> | undefined => row && { value: this.read(row) };
    return new PullIterator(
      this.stream,
      async () => wrap(await this.takeRow()),
      () => wrap(this.#takeAtHand()),
    );
  }

  /** For `await using`: `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * A Node `Readable` of the remaining elements with back-pressure. Destroying it, or aborting `signal`,
   * closes the cursor. Node gives
   * `null` the meaning of an end, so that a stream of values in which NULL occurs fails with
   * `ERR_STREAM_NULL_VALUES`.
   */
  readable(given: RowReadableOptions = {}): Readable {
    expectArgument('readable()', recordRule, given);
    const { objectMode = true, ...options } = given;
    return Readable.from(this, {
      highWaterMark: getDefaultHighWaterMark(objectMode),
      ...options,
      objectMode,
    });
  }

  /**
   * The interop point of Observables: RxJS' `from(result)` calls it. Rows are pushed batch by batch, without
   * back-pressure, for which an Observable has no means. Unsubscribing closes the cursor at once, and a
   * second subscription finds it closed.
   */
  '@@observable'(): InteropObservable<T> {
    return toInteropObservable({
      read: () => this.guard(() => this.#readBatch()),
      close: (failure) => this.stream.close(failure),
    });
  }

  /** @throws AsyncMethodRequiredError: rows that are on the server cannot be written as JSON at once. */
  toJSON(): never {
    throw streamIsNoJson();
  }

  /** @internal */
  [inspect.custom](): string {
    return `${this.constructor.name} { ${this.stream.state} }`;
  }

  /** Runs a question; when it fails, the stream is closed and the failure stays the first one. */
  protected async guard<Answer>(question: () => Promise<Answer>): Promise<Answer> {
    try {
      return await question();
    } catch (error) {
      await this.stream.close(error);
      throw error;
    }
  }

  protected read(row: DriverRow): T {
    return this.reader.project(this.stream.shape).read(row);
  }

  /** The next row that is not a repetition. With `limit`, no more rows than that are asked for first. */
  protected async takeRow(limit?: number): Promise<DriverRow | undefined> {
    while (await this.stream.fill(limit)) {
      const row = this.#takeAtHand();
      if (row !== undefined) return row;
    }
    return undefined;
  }

  protected async takeFirst(): Promise<DriverRow | undefined> {
    const row = await this.takeRow(1);
    await this.stream.close();
    return row;
  }

  protected async takeOnly(question: OneRowQuestion): Promise<DriverRow | undefined> {
    const row = await this.takeRow(2);
    const second = row && (await this.takeRow(2));
    if (second !== undefined) throw severalRowsFound(question);
    await this.stream.close();
    return row;
  }

  protected async takeOne(question: OneRowQuestion): Promise<DriverRow> {
    const row = await this.takeOnly(question);
    if (row === undefined) throw noRowFound(question);
    return row;
  }

  #takeAtHand(): DriverRow | undefined {
    return this.stream.hasRows ? this.reader.take(this.stream, this.stream.shape) : undefined;
  }

  protected readAtHand(): T[] {
    return this.reader.readRest(this.stream, this.stream.shape);
  }

  async #readBatch(): Promise<T[]> {
    while (await this.stream.fill()) {
      const batch = this.readAtHand();
      if (batch.length > 0) return batch;
    }
    return [];
  }

  async #readMany(count: number): Promise<T[]> {
    const { turns } = this.stream;
    if (!turns.tryAcquire()) await turns.acquire();
    try {
      const elements: T[] = [];
      while (elements.length < count) {
        const row = this.#takeAtHand() ?? (await this.takeRow());
        if (row === undefined) break;
        elements.push(this.read(row));
      }
      return elements;
    } finally {
      turns.release();
    }
  }
}

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

  /**
   * False for a statement without rows, such as an INSERT without RETURNING. Known once the first rows have
   * come: after `open()` or the first question; also after the end.
   *
   * @throws IllegalStateError before that; nothing is sent.
   */
  get returnsRows(): boolean {
    if (!this.stream.isOpened) throw streamIsNotOpen();
    return this.stream.returnsRows;
  }

  /**
   * The present columns, each with its name and the oid of its type; empty for a statement without rows.
   * Known as `returnsRows` is: after `open()`.
   *
   * @throws IllegalStateError before that; nothing is sent.
   */
  get fields(): readonly Field[] {
    return this.returnsRows ? this.reader.project(this.stream.shape).fields : [];
  }

  /** The next row or undefined; does not close the stream. */
  fetchOne(): Promise<R | undefined> {
    return this.guard(async () => {
      const row = await this.takeRow();
      return row && this.read(row);
    });
  }

  /**
   * The next rows, as lines of CSV where the driver writes such: what is its own text on the wire need not
   * become a value. None at the end. @internal
   */
  fetchCsv(csv: CsvField): Promise<Buffer | R[]> {
    if (!this.reader.isPlain) return this.fetchMany();
    return this.guard(async () => (await this.stream.takeLines(csv)) ?? this.readAtHand());
  }

  /** Reads only `columns` from here on. */
  protected narrow(columns: readonly ColumnReference[]): void {
    this.reader = this.reader.select<R>(columns);
  }
}
