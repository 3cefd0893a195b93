import type { CommandResult } from './driver/driver.js';
import type { StatementOptions } from './execution-options.js';
import { Invocation } from './invocation.js';
import type { StatementParameters } from './invocation.js';
import { AsyncResult, CursorResult, PendingResult } from './result/index.js';
import type { AsyncScalarResult, ScalarResult, StreamSource } from './result/index.js';
import type { CompiledCache, Executable, Parameters, Row } from './statement/index.js';

/** What an engine and a connection have in common: they run statements. Where, is their own affair. */
export abstract class Executor {
  protected abstract readonly statementCache: CompiledCache;
  /** The options that a statement's own are added to. */
  protected abstract statementDefaults(): StatementOptions;
  abstract send(invocation: Invocation): Promise<CommandResult>;
  abstract openStream(invocation: Invocation): StreamSource;

  /**
   * Sends a statement; await the result or ask it a question: `await connection.execute(statement).one()`. A list of
   * parameter sets is an executemany.
   *
   * @throws ObjectNotExecutableError for a bare string, StatementError for a bind without a value, DBAPIError for what
   * the server refuses.
   */
  execute<R = Row>(
    statement: Executable<R>,
    parameters?: StatementParameters,
    options?: StatementOptions,
  ): PendingResult<R> {
    return new PendingResult<R>(this.#run<R>(statement, parameters, options));
  }

  /** The first column of the first row; undefined without a row. */
  scalar<T = unknown>(
    statement: Executable<unknown>,
    parameters?: StatementParameters,
    options?: StatementOptions,
  ): Promise<T | undefined> {
    return this.execute<Record<string, T>>(
      statement as Executable<Record<string, T>>,
      parameters,
      options,
    ).scalar<T>();
  }

  /** The first column of all rows. */
  scalars<T = unknown>(
    statement: Executable<unknown>,
    parameters?: StatementParameters,
    options?: StatementOptions,
  ): Promise<ScalarResult<T>> {
    return this.execute<Record<string, T>>(
      statement as Executable<Record<string, T>>,
      parameters,
      options,
    ).scalars<T>();
  }

  /**
   * The rows over a server-side cursor; nothing is sent before the first pull, and other statements may run meanwhile.
   * Outside a transaction the engine opens a read-only one that ends with the stream.
   * A statement that cannot be compiled is refused here and now.
   */
  stream<R = Row>(
    statement: Executable<R>,
    parameters?: Parameters,
    options?: StatementOptions,
  ): AsyncResult<R> {
    const invocation = this.#invocation(statement, parameters, options);
    return new AsyncResult<R>(this.openStream(invocation), invocation.options);
  }

  /** The first column of all rows, over a server-side cursor. */
  streamScalars<T = unknown>(
    statement: Executable<unknown>,
    parameters?: Parameters,
    options?: StatementOptions,
  ): AsyncScalarResult<T> {
    return this.stream(statement, parameters, options).scalars<T>();
  }

  /** Sends SQL with `$1` placeholders as it is, with one set of values. For an executemany use `execute()` with `text()`. */
  execDriverSql<R = Row>(
    sql: string,
    parameters: readonly unknown[] = [],
    options?: StatementOptions,
  ): PendingResult<R> {
    return this.execute<R>({ text: sql, values: parameters }, undefined, options);
  }

  async #run<R>(
    statement: Executable<unknown>,
    parameters: StatementParameters | undefined,
    options: StatementOptions | undefined,
  ): Promise<CursorResult<R>> {
    return new CursorResult<R>(await this.send(this.#invocation(statement, parameters, options)));
  }

  #invocation(
    statement: Executable<unknown>,
    parameters: StatementParameters | undefined,
    options: StatementOptions | undefined,
  ): Invocation {
    const defaults = this.statementDefaults();
    const merged = options === undefined ? defaults : { ...defaults, ...options };
    return new Invocation(statement, parameters, merged, this.statementCache);
  }
}
