import type { CommandResult } from '../driver/driver.js';
import { ArgumentError, AsyncMethodRequiredError, StatementError } from '../errors/errors.js';
import { CopyFrom, type CopyInput } from './copy/copy-from.js';
import { CopyToStream } from './copy/copy-to-stream.js';
import {
  COPY_TO_OPTIONS,
  STATEMENT_OPTIONS,
  type CopyToOptions,
  type ExecuteOptions,
  type StatementOptions,
} from './execution-options.js';
import { Invocation, type StatementParameters } from './invocation.js';
import { sendRepeatedly } from './repeated-statement.js';
import { BatchObserver, resultsOf } from './batch-observer.js';
import { StatementBatch } from './statement-batch.js';
import { ignoreRejection } from '../util/option-rule.js';
import { describeValue } from '../util/describe-value.js';
import { mergeOptions } from '../util/merge-options.js';
import { AsyncResult, type AsyncScalarResult } from '../result/async-result.js';
import { cursorOver, PendingResult, type PendingView } from '../result/pending-result.js';
import { CursorResult, type ScalarResult } from '../result/cursor-result.js';
import type { ObservedAnswer } from '../result/row-buffer.js';
import type { StreamSource } from '../result/stream-source.js';
import { ParameterBatch, isListOfSets } from '../statement/parameter-batch.js';
import type { CompiledCache } from '../statement/compiled-cache.js';
import type { Executable } from '../statement/executable.js';
import type { Parameters, Row } from '../statement/row.js';
import { StatementTimeout } from './statement-timeout.js';
import { StatementObserver, type StatementCall } from './statement-observer.js';
import type { ObserverFactory, ConnectionObserver } from './connection-observer.js';
import { COPY, THIS_COPY } from '../errors/copies.js';

/** Where an executor's statements go. */
export interface StatementRunner {
  /** Used where the options of the statement name no other. */
  readonly compiledCache: CompiledCache;
  /** What errors show of parameters, and what is thrown instead of them. */
  readonly observers: Pick<ObserverFactory<unknown>, 'hideParameters' | 'shownParameters' | 'replacementOf'>;
  /** The options that a statement's own are added to. */
  readonly executionOptions: StatementOptions;
  /** Asks for options that are not known yet; undefined where there is nothing to wait for. */
  settle?(signal?: AbortSignal): Promise<void> | undefined;
  /** True: what is sent now commits itself. */
  commitsAlone?(): boolean;
  /** Told of a statement of this caller; undefined while nothing observes it. */
  observer(): ConnectionObserver<unknown> | undefined;
  /** May throw at once what it refuses. */
  send(invocation: Invocation): Promise<CommandResult>;
  openStream(invocation: Invocation): StreamSource;
}

/** What an engine and a connection have in common: they run statements. */
export abstract class Executor {
  readonly #runner: () => StatementRunner;

  /** @internal */
  get [COPY](): object {
    return THIS_COPY;
  }

  /** `runner` finds, for each statement, where it goes. @internal */
  constructor(runner: () => StatementRunner) {
    this.#runner = runner;
  }

  /**
   * Sends a statement; await the result or ask it a question: `await connection.execute(statement).one()`. A
   * list of parameter sets is an executemany.
   *
   * @throws ObjectNotExecutableError for a bare string, StatementError for a bind without a value, DBAPIError
   * for what the server refuses.
   *
   * @example
   * ```ts
   * const { rowCount } = await engine.execute(sql`UPDATE items SET price = ${price} WHERE id = ${id}`);
   * const byId = text<{ name: string }>('SELECT name FROM items WHERE id = :id');
   * const item = await engine.execute(byId, { id }).one();
   * ```
   */
  execute<R = Row>(
    statement: Executable<R>,
    parameters?: StatementParameters,
    options?: ExecuteOptions,
  ): PendingResult<R> {
    return pendingResult<R>(this.#runner, { statement, parameters, options }, options);
  }

  /**
   * The first column of the first row; undefined without a row.
   *
   * @example
   * ```ts
   * const total = await engine.scalar<number>(sql`SELECT sum(price) FROM items`);
   * ```
   */
  scalar<T = unknown>(
    statement: Executable<unknown>,
    parameters?: StatementParameters,
    options?: ExecuteOptions,
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
    options?: ExecuteOptions,
  ): PendingView<T, ScalarResult<T>> {
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
   *
   * @example
   * ```ts
   * for await (const row of engine.stream(sql`SELECT * FROM events ORDER BY id`)) {
   *   await archive(row);
   * }
   * ```
   */
  stream<R = Row>(
    statement: Executable<R>,
    parameters?: Parameters,
    options?: StatementOptions,
  ): AsyncResult<R> {
    const runner = this.#runner();
    const invocation = streamed(runner, { statement, parameters, options });
    return new AsyncResult<R>(runner.openStream(invocation), invocation.options, {
      mapError: (error) => mapError(runner, error),
      onFetch: invocation.observer?.onFetch,
    });
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
   * Sends several statements in one flight and gives a result for each, in their order. They are stored
   * together or not at all: the first that fails ends the batch, as in a transaction, and those behind it do
   * not run. Values are in the statements: `text(…).bindparams({…})` or sql``. An empty list gives none.
   *
   * @throws what `execute()` throws, for the statement that failed.
   *
   * @example
   * ```ts
   * const [users, orders] = await connection.batch([
   *   sql<{ name: string }>`SELECT name FROM users WHERE id = ${id}`,
   *   sql<{ total: number }>`SELECT total FROM orders WHERE user_id = ${id}`,
   * ]);
   * console.log(users.one().name, orders.all());
   * ```
   */
  async batch<Rows extends readonly unknown[] | []>(
    statements: { readonly [Index in keyof Rows]: Executable<Rows[Index]> },
    options?: StatementOptions,
  ): Promise<{ -readonly [Index in keyof Rows]: CursorResult<Rows[Index]> }> {
    const results = await sendBatch(this.#runner(), expectStatements(statements), options);
    return results.map((result) => new CursorResult(result)) as never;
  }

  /**
   * Sends SQL with `$1` placeholders as it is. A list whose every element is a list is an executemany, one
   * execution for each of them; so the only value of a statement, where it is an array, is written `[[[1,
   * 2]]]`. Null means no values, as for `pg`.
   *
   * @example
   * ```ts
   * await connection.execDriverSql('INSERT INTO items (name, price) VALUES ($1, $2)', [
   *   ['pen', 3],
   *   ['ink', 12],
   * ]);
   * ```
   */
  execDriverSql<R = Row>(
    sql: string,
    parameters: readonly unknown[] | null = [],
    options?: ExecuteOptions,
  ): PendingResult<R> {
    try {
      const statement = driverStatement(sql, parameters ?? []);
      return pendingResult<R>(this.#runner, { statement, options, isRaw: true }, options);
    } catch (error) {
      return new PendingResult<R>(Promise.reject(error), cursorOver);
    }
  }

  /**
   * Runs `COPY … FROM STDIN` with the rows of `source`: a Node or web stream, or an iterable of strings and
   * bytes, in the format that the statement names (text, CSV or binary). Rows are pulled as fast as the
   * server takes them. It runs in the transaction of the caller, all or nothing; the event `copyProgress`
   * tells how far it is. `source` is destroyed when the COPY has ended.
   *
   * @throws the error of `source`, DBAPIError for what the server refuses, NotSupportedError on PGlite.
   *
   * @example
   * ```ts
   * const { rowCount } = await engine.copyFrom(
   *   'COPY items (name, price) FROM STDIN (FORMAT csv, HEADER)',
   *   createReadStream('items.csv'),
   * );
   * ```
   */
  async copyFrom(
    sql: string | Executable<unknown>,
    source: CopyInput,
    options?: StatementOptions,
  ): Promise<{ readonly rowCount: number }> {
    const copy = new CopyFrom(sql, source, () => this.#runner().observer());
    return await copy.run((statement) => sendStatement(this.#runner, { statement, options }));
  }

  /**
   * The bytes of `COPY … TO STDOUT` as a stream, read from the server as fast as they are taken. Nothing is
   * sent before it is first read; it runs in the transaction in which it was made. To destroy the stream, or
   * to leave its loop, cancels the COPY; so does reading nothing for `readTimeout` ms (60,000).
   *
   * @throws ArgumentError for another statement; the stream ends with the error of the server.
   *
   * @example
   * ```ts
   * await pipeline(engine.copyTo('COPY items TO STDOUT (FORMAT csv)'), createWriteStream('items.csv'));
   * ```
   */
  copyTo(sql: string | Executable<unknown>, options: CopyToOptions = {}): CopyToStream {
    const { readTimeout, ...parsed } = COPY_TO_OPTIONS.parse(options);
    return new CopyToStream(
      sql,
      { readTimeout, signal: parsed.signal },
      (statement, signal) => sendStatement(this.#runner, { statement, options: { ...parsed, signal } }),
      () => this.#runner().observer(),
    );
  }
}

/** SQL of the driver with its values, or one for each of several lists of them. */
function driverStatement(sql: string, parameters: readonly unknown[]): Executable<unknown> {
  if (!Array.isArray(parameters)) {
    throw new ArgumentError(
      `the parameters of execDriverSql() must be a list, such as [1, 'a']; got ${describeValue(parameters)}.`,
    );
  }
  return isListOfSets(parameters) ? new ParameterBatch(sql, parameters) : { text: sql, values: parameters };
}

function pendingResult<R>(
  find: () => StatementRunner,
  call: StatementCall,
  options: ExecuteOptions | undefined,
): PendingResult<R> {
  const answer =
    options?.retry === undefined
      ? sendStatement(find, call)
      : sendRepeatedly(options, find, (own) => sendStatement(find, { ...call, options: own }));
  return new PendingResult<R>(answer, cursorOver);
}

/** Runs a statement where the runner of `find` says. Rejects with whatever fails; nothing is thrown. */
// No promise of its own between the caller and the driver: each costs more than the rest of this.
export function sendStatement(find: () => StatementRunner, call: StatementCall): Promise<ObservedAnswer> {
  let runner: StatementRunner | undefined;
  try {
    const found = (runner = find());
    const settling = found.settle?.();
    if (settling !== undefined) {
      ignoreRejection(settling);
      return sendSettled(found, call);
    }
    const options = call.options === undefined ? found.executionOptions : mergedOptions(found, call.options);
    if (options.streamResults === true) throw streamAsked();
    const observer = found.observer();
    if (observer !== undefined) return sendObserved(found, observer, call, options);
    const sent = found.send(
      new Invocation(call.statement, call.parameters, options, found.compiledCache, call.options),
    );
    // Unobserved, the log is off, too: then an error has nothing to be shown.
    if (!found.observers.hideParameters) return sent;
    return sent.catch((error: unknown) => {
      throw described(found, error);
    });
  } catch (error) {
    return Promise.reject(runner === undefined ? error : described(runner, error));
  }
}

/** The time of the statement begins anew once the options are known: they may say another one. */
async function sendSettled(runner: StatementRunner, call: StatementCall): Promise<ObservedAnswer> {
  await settle(runner, call.options);
  return await sendStatement(() => runner, call);
}

async function settle(runner: StatementRunner, options: StatementOptions = {}): Promise<void> {
  STATEMENT_OPTIONS.parse(options);
  await new StatementTimeout(options.timeout, options.signal).during(async (end) =>
    runner.settle?.(end.signal),
  );
}

function expectStatements(statements: unknown): readonly Executable<unknown>[] {
  // A hole of the list is a missing statement.
  if (Array.isArray(statements)) return Array.from(statements as readonly Executable<unknown>[]);
  throw new ArgumentError(`batch() must be given a list of statements; got ${describeValue(statements)}.`);
}

async function sendBatch(
  runner: StatementRunner,
  statements: readonly Executable<unknown>[],
  given: StatementOptions | undefined,
): Promise<readonly ObservedAnswer[]> {
  try {
    const settling = runner.settle?.();
    if (settling !== undefined) {
      ignoreRejection(settling);
      await settle(runner, given);
    }
    const options = given === undefined ? runner.executionOptions : mergedOptions(runner, given);
    if (options.streamResults === true) throw streamAsked();
    if (statements.length === 0) return [];
    const parts = statements.map((statement) => streamed(runner, { statement, options: given }));
    const invocation = new Invocation(
      new StatementBatch(parts.map(({ command }) => command)),
      undefined,
      options,
      undefined,
      given,
    );
    const observers = parts.flatMap(({ observer }) => observer ?? []);
    const observer = observers.length === parts.length ? new BatchObserver(observers) : undefined;
    invocation.observer = observer;
    const send = async (): Promise<readonly ObservedAnswer[]> => {
      const results = resultsOf(await runner.send(invocation));
      const told = observer?.finishEach(results) ?? [];
      return results.map((result, index) => ({ ...result, onFetch: told[index] }));
    };
    return await (observer === undefined ? send() : observer.traced(send));
  } catch (error) {
    throw mapError(runner, error);
  }
}

// One promise for all that is told of it, its two ends in one call.
function sendObserved(
  runner: StatementRunner,
  observer: ConnectionObserver<unknown>,
  call: StatementCall,
  options: StatementOptions,
): Promise<ObservedAnswer> {
  const observed = new StatementObserver(observer, call, options);
  const fail = (error: unknown): never => {
    const shown = observer.replacementOf(described(runner, error));
    observed.ended(shown);
    throw shown;
  };
  try {
    const sent = observed.begin(() => runner.send(observed.prepare(runner.compiledCache)));
    return sent.then((result) => {
      try {
        observed.finished(result);
      } catch (error) {
        return fail(error);
      }
      observed.ended();
      const { onFetch } = observed;
      return onFetch === undefined ? result : { ...result, onFetch };
    }, fail);
  } catch (error) {
    return fail(error);
  }
}

function streamed(runner: StatementRunner, call: StatementCall): Invocation {
  try {
    const options =
      call.options === undefined ? runner.executionOptions : mergedOptions(runner, call.options);
    const observer = runner.observer();
    return observer === undefined
      ? new Invocation(call.statement, call.parameters, options, runner.compiledCache, call.options)
      : new StatementObserver(observer, call, options).prepare(runner.compiledCache);
  } catch (error) {
    throw described(runner, error);
  }
}

// A listener may have come after the statement was made, and may have gone before it fails.
function mapError(runner: StatementRunner, error: unknown): unknown {
  described(runner, error);
  return runner.observers.replacementOf(error);
}

function described(runner: StatementRunner, error: unknown): unknown {
  const { shownParameters } = runner.observers;
  if (shownParameters !== undefined && error instanceof StatementError) error.showParameters(shownParameters);
  return error;
}

function mergedOptions(runner: StatementRunner, options: StatementOptions): StatementOptions {
  return mergeOptions(runner.executionOptions, STATEMENT_OPTIONS.parse(options));
}

function streamAsked(): AsyncMethodRequiredError {
  return new AsyncMethodRequiredError(
    'execute(), scalar() and scalars() read all rows at once, and streamResults asks for a cursor. Use stream().',
  );
}
