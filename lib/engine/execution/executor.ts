import type { CommandResult } from '../driver/driver.js';
import { AsyncMethodRequiredError, StatementError } from '../errors/errors.js';
import { checkStatementOptions } from './execution-options.js';
import type { StatementOptions } from './execution-options.js';
import { MappedErrorSource } from './mapped-error-source.js';
import { Invocation } from './invocation.js';
import type { StatementParameters } from './invocation.js';
import { mergeOptions } from '../util/merge-options.js';
import { AsyncResult } from '../result/async-result.js';
import { PendingResult } from '../result/pending-result.js';
import type { AsyncScalarResult } from '../result/async-scalar-result.js';
import type { ScalarResult } from '../result/scalar-result.js';
import type { StreamSource } from '../result/stream-source.js';
import { ParameterBatch, isListOfSets } from '../statement/parameter-batch.js';
import type { CompiledCache } from '../statement/compiled-cache.js';
import type { Executable, QueryConfig } from '../statement/executable.js';
import type { Parameters, Row } from '../statement/row.js';
import { StatementObserver } from './statement-observer.js';
import type { StatementRequest } from './statement-observer.js';
import type { ConnectionObserver } from './connection-observer.js';

/** What an engine and a connection have in common: they run statements. Where, is their own affair. */
export abstract class Executor {
  protected abstract readonly statementCache: CompiledCache;
  /** The options that a statement's own are added to. */
  protected abstract statementDefaults(): StatementOptions;
  /** What the messages of errors say of parameters; undefined: nothing. */
  protected abstract readonly shownParameters: 'values' | 'hidden' | undefined;
  /**
   * What listeners of `handleError` want to be thrown for `error`, which is `error` itself when they want
   * nothing.
   */
  protected abstract replacementOf(error: unknown): unknown;
  /** Who wants to know of a statement of this caller; undefined: nobody. */
  protected abstract callerObserver(): ConnectionObserver<unknown> | undefined;
  /** May throw at once what it refuses. @internal */
  abstract send(invocation: Invocation): Promise<CommandResult>;
  /** @internal */
  abstract openStream(invocation: Invocation): StreamSource;

  /**
   * Sends a statement; await the result or ask it a question: `await connection.execute(statement).one()`. A
   * list of parameter sets is an executemany.
   *
   * @throws ObjectNotExecutableError for a bare string, StatementError for a bind without a value, DBAPIError
   * for what the server refuses.
   */
  execute<R = Row>(
    statement: Executable<R>,
    parameters?: StatementParameters,
    options?: StatementOptions,
  ): PendingResult<R> {
    return new PendingResult<R>(this.#send(statement, parameters, options, false));
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
   * The rows over a server-side cursor; nothing is sent before the first pull, and other statements may run
   * meanwhile. Outside a transaction the engine opens a read-only one that ends with the stream. A statement
   * that cannot be compiled is refused here and now.
   */
  stream<R = Row>(
    statement: Executable<R>,
    parameters?: Parameters,
    options?: StatementOptions,
  ): AsyncResult<R> {
    const invocation = this.#streamed(statement, parameters, options);
    const source = new MappedErrorSource(this.openStream(invocation), (error) => this.#mapError(error));
    return new AsyncResult<R>(source, invocation.options);
  }

  /** The first column of all rows, over a server-side cursor. */
  streamScalars<T = unknown>(
    statement: Executable<unknown>,
    parameters?: Parameters,
    options?: StatementOptions,
  ): AsyncScalarResult<T> {
    return this.stream(statement, parameters, options).scalars<T>();
  }

  /**
   * Sends SQL with `$1` placeholders as it is. A list whose every element is a list is an executemany, one
   * execution for each of them; so the only value of a statement, where it is an array, is written `[[[1,
   * 2]]]`.
   */
  execDriverSql<R = Row>(
    sql: string,
    parameters: readonly unknown[] = [],
    options?: StatementOptions,
  ): PendingResult<R> {
    const statement = isListOfSets(parameters)
      ? new ParameterBatch(sql, parameters)
      : { text: sql, values: parameters };
    return new PendingResult<R>(this.#send(statement, undefined, options, true));
  }

  /** For SQL of code that was written for the driver. */
  protected sendRaw(query: QueryConfig): Promise<CommandResult> {
    return this.#send(query, undefined, undefined, true);
  }

  // No promise of its own between the caller and the driver: each costs more than the rest of this.
  #send(
    statement: Executable<unknown>,
    parameters: StatementParameters | undefined,
    options: StatementOptions | undefined,
    isRaw: boolean,
  ): Promise<CommandResult> {
    try {
      const merged = this.#optionsOf(options);
      expectBuffered(merged);
      const observer = this.callerObserver();
      const sent =
        observer === undefined
          ? this.send(new Invocation(statement, parameters, merged, this.#cacheOf(merged)))
          : this.#sendObserved(observer, { statement, parameters, options: merged, isRaw });
      if (this.shownParameters === undefined) return sent;
      return sent.catch((error: unknown) => {
        throw this.#described(error);
      });
    } catch (error) {
      return Promise.reject(this.#described(error));
    }
  }

  async #sendObserved(
    observer: ConnectionObserver<unknown>,
    request: StatementRequest,
  ): Promise<CommandResult> {
    const observed = new StatementObserver(observer, request);
    const invocation = observed.prepare(this.#cacheOf(request.options));
    let result: CommandResult;
    try {
      result = await this.send(invocation);
    } catch (error) {
      this.#described(error);
      throw observer.replacementOf(error);
    }
    observed.finished(result.rowCount);
    return result;
  }

  #streamed(
    statement: Executable<unknown>,
    parameters: Parameters | undefined,
    options: StatementOptions | undefined,
  ): Invocation {
    try {
      const merged = this.#optionsOf(options);
      const observer = this.callerObserver();
      const cache = this.#cacheOf(merged);
      if (observer === undefined) return new Invocation(statement, parameters, merged, cache);
      return new StatementObserver(observer, {
        statement,
        parameters,
        options: merged,
        isRaw: false,
      }).prepare(cache);
    } catch (error) {
      throw this.#described(error);
    }
  }

  // A listener may have come after the statement was made, and may have gone before it fails.
  #mapError(error: unknown): unknown {
    this.#described(error);
    return this.replacementOf(error);
  }

  #described(error: unknown): unknown {
    const { shownParameters } = this;
    if (shownParameters !== undefined && error instanceof StatementError)
      error.showParameters(shownParameters);
    return error;
  }

  #optionsOf(options: StatementOptions | undefined): StatementOptions {
    const defaults = this.statementDefaults();
    if (options === undefined) return defaults;
    checkStatementOptions(options);
    return mergeOptions(defaults, options);
  }

  #cacheOf({ compiledCache }: StatementOptions): CompiledCache | undefined {
    return compiledCache === undefined ? this.statementCache : (compiledCache ?? undefined);
  }
}

function expectBuffered({ streamResults }: StatementOptions): void {
  if (streamResults !== true) return;
  throw new AsyncMethodRequiredError(
    'execute(), scalar() and scalars() read all rows at once, and streamResults asks for a cursor. Use stream().',
  );
}
