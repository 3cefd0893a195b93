import { CallSite } from '../util/call-site.js';
import type { BeforeCursorExecuteEvent, BeforeExecuteEvent } from './connection-events.js';
import type { Command, CommandResult } from '../driver/driver.js';
import { InvalidRequestError, StatementError } from '../errors/errors.js';
import type { StatementOptions } from './execution-options.js';
import { Invocation } from './invocation.js';
import type { StatementParameters } from './invocation.js';
import { HIDDEN_PARAMETERS, parameterSetsText, parametersText, valueText } from '../errors/parameter-text.js';
import { cachedSince } from '../statement/executable.js';
import type { CompiledCache } from '../statement/compiled-cache.js';
import type { Executable } from '../statement/executable.js';
import type { ConnectionObserver } from './connection-observer.js';
import type { CommandObserver } from './watched-portal.js';

type Changeable<T> = { -readonly [Name in keyof T]: T[Name] };

/** A statement as its caller gave it. */
export interface StatementCall {
  readonly statement: Executable<unknown>;
  readonly parameters?: StatementParameters | undefined;
  readonly options?: StatementOptions | undefined;
  /** True: SQL of the driver, which is not compiled and emits the events of the cursor alone. */
  readonly isRaw?: boolean;
}

/** One statement on its way, from the call to the answer, with all that is told of it. */
export class StatementObserver<Connection> implements CommandObserver {
  readonly #watch: ConnectionObserver<Connection>;
  readonly #isRaw: boolean;
  readonly #site: CallSite | undefined;
  readonly #startedAt = performance.now();
  #event: Changeable<BeforeExecuteEvent<Connection>>;
  #mark = 'raw sql';
  #progress: 'regular' | 'interrupted' = 'regular';

  /** `options`: those of the call, with the defaults of where it runs. */
  constructor(watch: ConnectionObserver<Connection>, call: StatementCall, options: StatementOptions) {
    const { statement, parameters, isRaw = false } = call;
    this.#watch = watch;
    this.#isRaw = isRaw;
    this.#event = { connection: watch.connection, statement, parameters, options };
    this.#site = watch.parts.slowStatementThreshold === undefined ? undefined : new CallSite();
  }

  get isInterrupted(): boolean {
    return this.#progress === 'interrupted';
  }

  /** Asks `beforeExecute`, then compiles what it left. */
  prepare(cache: CompiledCache | undefined): Invocation {
    if (!this.#isRaw) this.#askBeforeExecute();
    const { statement, parameters, options } = this.#event;
    const since = cache === undefined ? undefined : cachedSince(statement, cache);
    const start = performance.now();
    try {
      const invocation = new Invocation(statement, parameters, options, cache);
      if (!this.#isRaw) this.#mark = compileMark(statement, cache, since, start);
      invocation.observer = this;
      return invocation;
    } catch (error) {
      if (error instanceof StatementError)
        this.#watch.failed(error, { statement: error.statement, parameters });
      throw this.#watch.replacementOf(error);
    }
  }

  #askBeforeExecute(): void {
    const event = this.#event;
    this.#watch.emit('beforeExecute', event, (answer) => {
      expectFields('beforeExecute', answer, ['statement', 'parameters']);
      if (answer.statement !== undefined) event.statement = answer.statement;
      if ('parameters' in answer) event.parameters = answer.parameters;
    });
  }

  /** Sends the commands as the listeners leave them. */
  async run<T>(commands: readonly Command[], send: (commands: readonly Command[]) => Promise<T>): Promise<T> {
    const event = this.#cursorEvent(commands);
    try {
      this.#watch.emit('beforeCursorExecute', event, (answer) => {
        expectFields('beforeCursorExecute', answer, ['sql', 'parameters']);
        if (answer.sql !== undefined) event.sql = answer.sql;
        if (answer.parameters !== undefined) event.parameters = answer.parameters;
      });
    } catch (error) {
      this.#interrupt(error);
      throw error;
    }
    this.#logStatement(event);
    const start = performance.now();
    const result = await send(commandsOf(event, commands));
    const duration = performance.now() - start;
    this.#warnIfSlow(event, duration);
    const rowCount = rowCountOf(result);
    if (isCommandResult(result)) this.#logRows(result);
    try {
      this.#watch.emit('afterCursorExecute', { ...event, rowCount, duration });
    } catch (error) {
      this.#interrupt(error);
      throw error;
    }
    return result;
  }

  #interrupt(error: unknown): void {
    if (this.#watch.interrupted(error)) this.#progress = 'interrupted';
  }

  /** The statement has succeeded. */
  finished(rowCount: number): void {
    if (this.#isRaw) return;
    const duration = performance.now() - this.#startedAt;
    this.#watch.emit('afterExecute', { ...this.#event, rowCount, duration });
  }

  #cursorEvent(commands: readonly Command[]): Changeable<BeforeCursorExecuteEvent<Connection>> {
    const isMany = commands.length > 1;
    const sets = commands.map(({ values }) => values ?? []);
    return {
      connection: this.#watch.connection,
      sql: commands[0]?.text ?? '',
      parameters: isMany ? sets : (sets[0] ?? []),
      isMany,
      options: this.#event.options,
    };
  }

  #logStatement({ sql, parameters, isMany }: BeforeCursorExecuteEvent<Connection>): void {
    const { log, hideParameters } = this.#watch.parts;
    if (!log.isOn) return;
    const token = this.#event.options.loggingToken ?? undefined;
    const shown = isMany ? parameterSetsText(parameters) : parametersText(parameters);
    const text = hideParameters ? HIDDEN_PARAMETERS : shown;
    const fields = { sql, ...(!hideParameters && { parameters }) };
    this.#watch.line('statement', sql, { sql }, token);
    this.#watch.line('parameters', `[${this.#mark}] ${text}`, { mark: this.#mark, ...fields }, token);
  }

  #logRows({ shape, rows }: CommandResult): void {
    const { log, hideParameters } = this.#watch.parts;
    if (!log.isDebug || shape === undefined) return;
    this.#watch.debugLine('columns', `Col (${shape.fields.map(({ name }) => name).join(', ')})`);
    if (hideParameters) return;
    for (const row of rows) {
      const values = Array.isArray(row) ? row : Object.values(row);
      this.#watch.debugLine('row', `Row (${values.map(valueText).join(', ')})`);
    }
  }

  #warnIfSlow({ sql }: BeforeCursorExecuteEvent<Connection>, duration: number): void {
    const { log, slowStatementThreshold: threshold } = this.#watch.parts;
    if (threshold === undefined || duration < threshold) return;
    const site = String(this.#site);
    const message = `slow statement: ${Math.round(duration)} ms (slowStatementThreshold is ${threshold}), executed at ${site}: ${sql}`;
    log.warn('slowStatement', message, { sql, duration, site });
  }
}

function compileMark(
  statement: Executable<unknown>,
  cache: CompiledCache | undefined,
  since: number | undefined,
  start: number,
): string {
  const now = performance.now();
  if (since !== undefined) return `cached since ${((now - since) / 1_000).toPrecision(4)}s ago`;
  const took = `${((now - start) / 1_000).toFixed(5)}s`;
  if (cache === undefined || cache.limit === 0) return `caching disabled ${took}`;
  return cachedSince(statement, cache) === undefined ? `no key ${took}` : `generated in ${took}`;
}

function commandsOf(
  { sql, parameters, isMany }: { sql: string; parameters: readonly unknown[]; isMany: boolean },
  commands: readonly Command[],
): readonly Command[] {
  const sets = isMany ? parameters : [parameters];
  return sets.map((values, index) => {
    const command = commands[index] ?? commands[0];
    // An executemany may have a text for each set; only a replaced one is the same for all.
    const text = sql === commands[0]?.text ? (command?.text ?? sql) : sql;
    if (!Array.isArray(values)) throw wrongAnswer('beforeCursorExecute', 'a list of values for each set');
    return { ...command, text, values };
  });
}

function expectFields(event: string, answer: unknown, names: readonly string[]): void {
  const isRight =
    typeof answer === 'object' &&
    answer !== null &&
    Object.keys(answer).every((name) => names.includes(name));
  if (!isRight) throw wrongAnswer(event, `an object with ${names.join(' and ')}, or nothing`);
}

function wrongAnswer(event: string, takes: string): InvalidRequestError {
  return new InvalidRequestError(
    `a listener of '${event}' returned something else than it may: it takes ${takes}.`,
  );
}

function isCommandResult(result: unknown): result is CommandResult {
  return typeof result === 'object' && result !== null && 'rows' in result && 'shape' in result;
}

function rowCountOf(result: unknown): number {
  return isCommandResult(result) && 'rowCount' in result ? result.rowCount : -1;
}
