import { CursorResult, type BufferedResult } from './cursor-result.js';
import type { FrozenResult, MappingResult, ScalarResult, TupleResult } from './cursor-result.js';
import type { ColumnReference } from './projection.js';
import { pendingIsNoJson } from './result-errors.js';
import type { CommandResult, Field } from '../driver/driver.js';

/**
 * A result, or a view of one, of a statement that was already sent. Await it for the result, or ask it the
 * result's own questions. A failure of the statement rejects each answer.
 */
export class PendingView<T, Result extends BufferedResult<T>> implements Promise<Result>, AsyncIterable<T> {
  /** @internal */
  protected readonly answer: Promise<CommandResult>;
  readonly #make: (answer: CommandResult) => Result;
  #result: Result | undefined;

  /** @internal */
  constructor(answer: Promise<CommandResult>, make: (answer: CommandResult) => Result) {
    this.answer = answer;
    this.#make = make;
  }

  /** What the interface `Promise` asks for: the name of the class. */
  get [Symbol.toStringTag](): string {
    return this.constructor.name;
  }

  // oxlint-disable-next-line unicorn/no-thenable -- to be awaited is what this class is for
  then<Fulfilled = Result, Rejected = never>(
    onFulfilled?: ((result: Result) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    return this.answer.then((answer) => {
      let result: Result;
      try {
        result = this.open(answer);
      } catch (error) {
        // A view may refuse the answer: `await` hears of it here alone.
        if (onRejected) return onRejected(error);
        throw error;
      }
      return onFulfilled ? onFulfilled(result) : (result as unknown as Fulfilled);
    }, onRejected);
  }

  catch<Rejected = never>(
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Result | Rejected> {
    return this.then(undefined, onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<Result> {
    return this.then().finally(onFinally);
  }

  /** True after `close()` or a question for one row. */
  get closed(): Promise<boolean> {
    return this.ask((result) => result.closed);
  }

  /** The remaining elements. */
  all(): Promise<T[]> {
    return this.ask((result) => result.all());
  }

  /** The same as {@link all}. */
  fetchAll(): Promise<T[]> {
    return this.all();
  }

  /** Up to `count` further elements, fewer at the end; by default as many as `yieldPer()` said, else one. */
  fetchMany(count?: number): Promise<T[]> {
    return this.ask((result) => result.fetchMany(count));
  }

  /** Lists of `size` elements, the last one shorter; by default as many as `yieldPer()` said, else one. */
  async *partitions(size?: number): AsyncIterableIterator<T[]> {
    yield* await this.ask((result) => result.partitions(size));
  }

  /** The first element or undefined. Closes the result. */
  first(): Promise<T | undefined> {
    return this.ask((result) => result.first());
  }

  /**
   * The only element; {@link NoResultFoundError} or {@link MultipleResultsFoundError} otherwise. Closes the
   * result.
   */
  one(): Promise<T> {
    return this.ask((result) => result.one());
  }

  /**
   * The only element or undefined; {@link MultipleResultsFoundError} when there are more. Closes the result.
   */
  oneOrNone(): Promise<T | undefined> {
    return this.ask((result) => result.oneOrNone());
  }

  /** The result without repetitions, still pending; see `unique()` of the result. */
  unique(key?: (element: T) => unknown): this {
    return this.#after((result) => result.unique(key));
  }

  /** The result with this number for `fetchMany()` and `partitions()`, still pending. */
  yieldPer(count: number): this {
    return this.#after((result) => result.yieldPer(count));
  }

  /** Drops the remaining elements. */
  close(): Promise<void> {
    return this.ask((result) => result.close());
  }

  /** @throws AsyncMethodRequiredError: what was not awaited has no rows yet. */
  toJSON(): never {
    throw pendingIsNoJson();
  }

  /** The remaining elements, one by one. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<T> {
    yield* await this;
  }

  /** @internal */
  protected ask<Answer>(question: (result: Result) => Answer): Promise<Answer> {
    return this.answer.then((answer) => question((this.#result ??= this.#make(answer))));
  }

  /** The same object for each question: its rows can be read once. @internal */
  protected open(answer: CommandResult): Result {
    return (this.#result ??= this.#make(answer));
  }

  // One of its own kind: a question that was asked before must not see what comes after it.
  #after(change: (result: Result) => Result): this {
    const Kind = this.constructor as new (
      ...args: ConstructorParameters<typeof PendingView<T, Result>>
    ) => this;
    return new Kind(this.answer, (answer) => change(this.open(answer)));
  }
}

/**
 * The result of a statement that was already sent. Await it for the {@link CursorResult}, or ask it the
 * result's own questions. A failure of the statement rejects each answer.
 *
 * @example
 * ```ts
 * const item = await connection.execute(sql`SELECT * FROM items WHERE id = ${id}`).one();
 * ```
 */
export class PendingResult<R = Record<string, unknown>> extends PendingView<R, CursorResult<R>> {
  /** Rows affected, or returned; -1 where the server gives no number. */
  get rowCount(): Promise<number> {
    return this.ask((result) => result.rowCount);
  }

  /** False for a statement without rows, such as an INSERT without RETURNING. */
  get returnsRows(): Promise<boolean> {
    return this.ask((result) => result.returnsRows);
  }

  /** The present columns, each with its name and the oid of its type. */
  get fields(): Promise<readonly Field[]> {
    return this.ask((result) => result.fields);
  }

  /** The column names in order; names that occur twice are there twice. */
  keys(): Promise<string[]> {
    return this.ask((result) => result.keys());
  }

  /** The next row or undefined; does not close the result. */
  fetchOne(): Promise<R | undefined> {
    return this.ask((result) => result.fetchOne());
  }

  /** The result with these columns alone, still pending; see {@link CursorResult.columns}. */
  columns<K extends keyof R & string>(...columns: readonly K[]): PendingResult<Pick<R, K>>;
  columns<S = Record<string, unknown>>(...columns: readonly ColumnReference[]): PendingResult<S>;
  columns(...columns: readonly ColumnReference[]): PendingResult {
    return new PendingResult(this.answer, (answer) => this.open(answer).columns(...columns));
  }

  /** The first column of the first row, undefined without a row. Closes the result. */
  scalar<T = R[keyof R]>(): Promise<T | undefined> {
    return this.ask((result) => result.scalar<T>());
  }

  /**
   * The first column of the only row; {@link NoResultFoundError} or {@link MultipleResultsFoundError}
   * otherwise. Closes the result.
   */
  scalarOne<T = R[keyof R]>(): Promise<T> {
    return this.ask((result) => result.scalarOne<T>());
  }

  /**
   * The first column of the only row, undefined without a row; {@link MultipleResultsFoundError} when there
   * are more. Closes the result.
   */
  scalarOneOrNone<T = R[keyof R]>(): Promise<T | undefined> {
    return this.ask((result) => result.scalarOneOrNone<T>());
  }

  /** A view of one column, by name or by position (default 0, from the end when negative). */
  scalars<K extends keyof R & string>(column: K): PendingView<R[K], ScalarResult<R[K]>>;
  scalars<T = R[keyof R]>(column?: ColumnReference): PendingView<T, ScalarResult<T>>;
  scalars(column?: ColumnReference): PendingView<unknown, ScalarResult> {
    return new PendingView(this.answer, (answer) => this.open(answer).scalars<unknown>(column));
  }

  /** A view of the rows as plain objects by column name. */
  mappings(): PendingView<R, MappingResult<R>> {
    return new PendingView(this.answer, (answer) => this.open(answer).mappings());
  }

  /** A view of the rows as arrays by position. */
  tuples<T extends readonly unknown[] = unknown[]>(): PendingView<T, TupleResult<T>> {
    return new PendingView(this.answer, (answer) => this.open(answer).tuples<T>());
  }

  /**
   * Takes the remaining rows, with `columns()` and `unique()` applied; call what you get for a fresh result
   * over them.
   */
  freeze(): Promise<FrozenResult<R>> {
    return this.ask((result) => result.freeze());
  }
}

/** What a {@link PendingResult} is opened to. */
export const cursorOver = <R>(answer: CommandResult): CursorResult<R> => new CursorResult<R>(answer);
