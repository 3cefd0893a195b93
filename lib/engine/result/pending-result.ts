import type { CommandResult } from '../driver/driver.js';
import { CursorResult } from './cursor-result.js';
import type { MappingResult } from './mapping-result.js';
import type { ColumnReference } from './projection.js';
import type { ScalarResult } from './scalar-result.js';
import type { TupleResult } from './tuple-result.js';

/**
 * The result of a statement that was already sent. Await it for the {@link CursorResult}, or ask it the
 * result's own questions:
 * `await connection.execute(statement).one()`. A failure of the statement rejects whatever was asked.
 */
export class PendingResult<R = Record<string, unknown>> implements Promise<CursorResult<R>> {
  readonly #answer: Promise<CommandResult>;
  #result: CursorResult<R> | undefined;

  /** @internal */
  constructor(answer: Promise<CommandResult>) {
    this.#answer = answer;
  }

  /** What the interface `Promise` asks for: `PendingResult`. */
  get [Symbol.toStringTag](): string {
    return 'PendingResult';
  }

  // oxlint-disable-next-line unicorn/no-thenable -- to be awaited is what this class is for
  then<Fulfilled = CursorResult<R>, Rejected = never>(
    onFulfilled?: ((result: CursorResult<R>) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    return this.#answer.then((answer) => {
      const result = this.#open(answer);
      return onFulfilled ? onFulfilled(result) : (result as Fulfilled);
    }, onRejected);
  }

  catch<Rejected = never>(
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<CursorResult<R> | Rejected> {
    return this.then(undefined, onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<CursorResult<R>> {
    return this.then().finally(onFinally);
  }

  /** All rows. */
  all(): Promise<R[]> {
    return this.#ask((result) => result.all());
  }

  /** The first row or undefined. */
  first(): Promise<R | undefined> {
    return this.#ask((result) => result.first());
  }

  /** The only row; {@link NoResultFoundError} or {@link MultipleResultsFoundError} otherwise. */
  one(): Promise<R> {
    return this.#ask((result) => result.one());
  }

  /** The only row or undefined; {@link MultipleResultsFoundError} when there are more. */
  oneOrNone(): Promise<R | undefined> {
    return this.#ask((result) => result.oneOrNone());
  }

  /** The first column of the first row, undefined without a row. */
  scalar<T = R[keyof R]>(): Promise<T | undefined> {
    return this.#ask((result) => result.scalar<T>());
  }

  /**
   * The first column of the only row; {@link NoResultFoundError} or {@link MultipleResultsFoundError}
   * otherwise.
   */
  scalarOne<T = R[keyof R]>(): Promise<T> {
    return this.#ask((result) => result.scalarOne<T>());
  }

  /**
   * The first column of the only row, undefined without a row; {@link MultipleResultsFoundError} when there
   * are more.
   */
  scalarOneOrNone<T = R[keyof R]>(): Promise<T | undefined> {
    return this.#ask((result) => result.scalarOneOrNone<T>());
  }

  /** A view of one column, by name or by position (default 0, from the end when negative). */
  scalars<K extends keyof R & string>(column: K): Promise<ScalarResult<R[K]>>;
  scalars<T = R[keyof R]>(column?: ColumnReference): Promise<ScalarResult<T>>;
  scalars(column?: ColumnReference): Promise<ScalarResult> {
    return this.#ask((result) => result.scalars<unknown>(column));
  }

  /** The rows as plain objects by column name. */
  mappings(): Promise<MappingResult<R>> {
    return this.#ask((result) => result.mappings());
  }

  /** The rows as arrays by position. */
  tuples<T extends readonly unknown[] = unknown[]>(): Promise<TupleResult<T>> {
    return this.#ask((result) => result.tuples<T>());
  }

  #ask<T>(question: (result: CursorResult<R>) => T): Promise<T> {
    return this.#answer.then((answer) => question(this.#open(answer)));
  }

  // One for all who ask: its rows can be read once.
  #open(answer: CommandResult): CursorResult<R> {
    return (this.#result ??= new CursorResult<R>(answer));
  }
}
