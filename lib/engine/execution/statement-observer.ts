import { CallSite } from '../util/call-site.js';
import type {
  AfterCursorExecuteEvent,
  AfterExecuteEvent,
  BeforeCursorExecuteEvent,
  BeforeExecuteEvent,
} from './connection-events.js';
import { StatementEvent } from './statement-event.js';
import { StatementTrace, type Answer } from './statement-trace.js';
import type { Command, CommandList, CommandResult, DriverRow, RowShape } from '../driver/driver.js';
import { InvalidRequestError, StatementError } from '../errors/errors.js';
import type { StatementOptions } from './execution-options.js';
import { Invocation } from './invocation.js';
import type { CommandObserver, FinishedStatement, SessionFacts, StatementParameters } from './invocation.js';
import { HIDDEN_PARAMETERS, parameterSetsText, parametersText, valueText } from '../errors/parameter-text.js';
import { serverErrorOf } from '../errors/sqlstate.js';
import { cachedSince, type Executable } from '../statement/executable.js';
import type { CompiledCache } from '../statement/compiled-cache.js';
import { reportError } from '../util/logger.js';
import type { ObservedTransaction } from '../transaction/transaction-observation.js';
import type { ConnectionObserver, FailureClass } from './connection-observer.js';

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
  readonly #observer: ConnectionObserver<Connection>;
  readonly #isRaw: boolean;
  readonly #given: StatementOptions | undefined;
  readonly #site: CallSite | undefined;
  /** What `handleError` made of an error of the driver that a listener has thrown. */
  failure: FailureClass | undefined;
  readonly #event: StatementEvent<Connection>;
  readonly #trace: StatementTrace;
  #mark = 'raw sql';
  #progress: 'regular' | 'interrupted' = 'regular';

  /** `options`: those of the call, with the defaults of where it runs. */
  constructor(observer: ConnectionObserver<Connection>, call: StatementCall, options: StatementOptions) {
    const { statement, parameters, isRaw = false } = call;
    this.#observer = observer;
    this.#isRaw = isRaw;
    this.#given = call.options;
    this.#event = new StatementEvent(observer.statementPlace(), statement, parameters, options);
    this.#trace = new StatementTrace(this.#event);
    this.#site = observer.parts.slowStatementThreshold === undefined ? undefined : new CallSite();
  }

  get isInterrupted(): boolean {
    return this.#progress === 'interrupted';
  }

  /** Tells, from its call to its end, of a statement whose answer is `work`'s. */
  traced<T>(work: () => Promise<T>): Promise<T> {
    return this.#trace.run(work);
  }

  /** Its call; `ended()` is its end. */
  begin<T>(work: () => T): T {
    return this.#trace.begin(work);
  }

  beginStream<T>(work: () => T): T {
    return this.#trace.beginStream(work);
  }

  ended(error?: unknown): void {
    this.#trace.finish(error === undefined ? undefined : this.#observer.replacementOf(error));
  }

  left(flight: number): void {
    this.#event.roundTrips += 1;
    this.#event.flight = flight;
  }

  // It is told from within the reading of answers, which a listener must not break.
  progressed(done: number, total: number): void {
    try {
      this.#observer.emit('executemanyProgress', {
        ...this.#observer.place,
        statement: this.#event,
        done,
        total,
      });
    } catch (error) {
      reportError(this.#observer.parts.log.logger, error);
    }
  }

  runsIn(transaction: ObservedTransaction): void {
    this.#event.transactionEvent = this.#observer.eventOf(transaction);
    this.#event.transactionEvent.start();
  }

  failed(error: unknown): FailureClass {
    this.failure ??= this.#observer.failed(error, { event: this.#event });
    return this.failure;
  }

  /** Asks `beforeExecute`, then compiles what it left. */
  prepare(engineCache: CompiledCache): Invocation {
    const { statement, parameters } = this.#isRaw ? this.#asGiven : this.#askBeforeExecute();
    const { options } = this.#event;
    const cache = options.compiledCache === undefined ? engineCache : (options.compiledCache ?? undefined);
    const isLogged = !this.#isRaw && this.#observer.parts.log.isOn;
    const since = isLogged && cache !== undefined ? cachedSince(statement, cache) : undefined;
    const start = isLogged ? performance.now() : 0;
    try {
      const invocation = new Invocation(statement, parameters, options, cache, this.#given);
      if (isLogged) this.#mark = compileMark(statement, cache, since, start);
      invocation.observer = this;
      // It may never get a connection.
      this.#event.sql = invocation.texts[0];
      return invocation;
    } catch (error) {
      if (error instanceof StatementError)
        this.#observer.failed(error, { event: this.#event, statement: error.statement, parameters });
      throw this.#observer.replacementOf(error);
    }
  }

  get #asGiven(): Changeable<BeforeExecuteEvent<Connection>> {
    return this.#event as Changeable<BeforeExecuteEvent<Connection>>;
  }

  #askBeforeExecute(): BeforeExecuteEvent<Connection> {
    const event = this.#asGiven;
    if (!this.#hasListeners) return event;
    this.#observer.emit('beforeExecute', event, (answer) => {
      expectFields('beforeExecute', answer, ['statement', 'parameters']);
      if (answer.statement !== undefined) event.statement = answer.statement;
      if ('parameters' in answer) event.parameters = answer.parameters;
    });
    return event;
  }

  /** Sends the commands as the listeners leave them. */
  run<T>(
    commands: CommandList,
    send: (commands: CommandList) => Promise<T>,
    session: SessionFacts | undefined,
  ): Promise<T> {
    const event = this.#eventOn(commands, session);
    return this.isHeard || event.isMany ? this.#sendHeard(commands, send, session) : send(commands);
  }

  // What hears of its call and its end alone needs no promise between them.
  get isHeard(): boolean {
    return this.#hasListeners || this.#site !== undefined || this.#trace.isSendingObserved;
  }

  async #sendHeard<T>(
    commands: CommandList,
    send: (commands: CommandList) => Promise<T>,
    session: SessionFacts | undefined,
  ): Promise<T> {
    const { statement, parameters } = this.#event;
    const event = this.#cursorEvent(commands);
    if (this.#hasListeners) this.#askBeforeCursor(event);
    this.#logStatement(event);
    const start = performance.now();
    const sent = this.#hasListeners ? commandsOf(event, commands.slice(0)) : commands;
    const result = await this.#trace.send(session, () => send(sent), answerOf);
    const duration = performance.now() - start;
    // The last page ends with the whole.
    if (event.isMany) this.progressed(sent.length, sent.length);
    this.#warnIfSlow(event, duration);
    const answer = answerOf(result);
    this.#event.rowCount = answer.rowCount;
    this.#event.command = answer.command;
    this.#event.duration = duration;
    if (this.#hasListeners)
      this.#tellOfCursor(event, () =>
        this.#observer.emit('afterCursorExecute', this.#event as AfterCursorExecuteEvent<Connection>),
      );
    // Around the cursor, the parameters are those of the call.
    this.#event.statement = statement;
    this.#event.parameters = parameters;
    return result;
  }

  get #hasListeners(): boolean {
    return this.#observer.parts.hub.hasListeners;
  }

  #askBeforeCursor(event: Changeable<BeforeCursorExecuteEvent<Connection>>): void {
    this.#tellOfCursor(event, () =>
      this.#observer.emit('beforeCursorExecute', event, (answer) => {
        expectFields('beforeCursorExecute', answer, ['sql', 'parameters']);
        if (answer.sql !== undefined) event.sql = answer.sql;
        if (answer.parameters !== undefined) event.parameters = answer.parameters;
      }),
    );
  }

  /** What a listener of the cursor throws counts as the driver's own, where it is an error of the driver. */
  #tellOfCursor({ sql, parameters }: BeforeCursorExecuteEvent<Connection>, emit: () => void): void {
    try {
      emit();
    } catch (error) {
      if (this.#observer.interrupted(error)) this.#progress = 'interrupted';
      const wrapped = serverErrorOf(error, sql, parameters);
      if (wrapped === undefined) throw error;
      this.failure = this.#observer.failed(wrapped);
      throw wrapped;
    }
  }

  /** The statement has succeeded. */
  finished({ rowCount, shape, command }: FinishedStatement): void {
    if (shape !== undefined && this.#observer.parts.log.isDebug) this.#logColumns(shape);
    this.#event.duration = performance.now() - this.#event.startedAt;
    this.#event.rowCount = rowCount;
    this.#event.command = command;
    if (this.#hasListeners && !this.#isRaw)
      this.#observer.emit('afterExecute', this.#event as AfterExecuteEvent<Connection>);
  }

  #eventOn(commands: CommandList, session: SessionFacts | undefined): StatementEvent<Connection> {
    const event = this.#event;
    event.isMany = commands.length > 1;
    event.setCount = commands.length;
    const [first] = commands;
    event.sql = first?.text ?? '';
    event.server = session?.server;
    event.processId = session?.processId;
    event.transactionEvent?.runsOn(session?.server);
    return event;
  }

  #cursorEvent(commands: CommandList): Changeable<BeforeCursorExecuteEvent<Connection>> {
    const event = this.#event;
    const [first] = commands;
    if (!event.isMany) event.parameters = first?.values ?? [];
    else if (this.#hasListeners || this.#observer.parts.log.isOn)
      event.parameters = Array.from(commands, ({ values }) => values ?? []);
    return event as Changeable<BeforeCursorExecuteEvent<Connection>>;
  }

  #logStatement({ sql, parameters, isMany, host, role }: BeforeCursorExecuteEvent<Connection>): void {
    const { log, hideParameters } = this.#observer.parts;
    if (!log.isOn) return;
    const token = this.#event.options.loggingToken ?? undefined;
    const shown = isMany ? parameterSetsText(parameters) : parametersText(parameters);
    const text = hideParameters ? HIDDEN_PARAMETERS : shown;
    const fields = { sql, host, role, ...(!hideParameters && { parameters }) };
    this.#observer.line('statement', sql, { sql, host, role }, token);
    this.#observer.line('parameters', `[${this.#mark}] ${text}`, { mark: this.#mark, ...fields }, token);
  }

  #logColumns({ fields }: RowShape): void {
    this.#observer.debugLine('columns', `Col (${fields.map(({ name }) => name).join(', ')})`);
  }

  get onFetch(): ((row: DriverRow) => void) | undefined {
    const { log, hideParameters } = this.#observer.parts;
    return log.isDebug && !hideParameters ? (row) => this.#logRow(row) : undefined;
  }

  #logRow(row: DriverRow): void {
    const values = Array.isArray(row) ? row : Object.values(row);
    this.#observer.debugLine('row', `Row (${values.map(valueText).join(', ')})`);
  }

  #warnIfSlow({ sql, host, role }: BeforeCursorExecuteEvent<Connection>, duration: number): void {
    const { log, slowStatementThreshold: threshold } = this.#observer.parts;
    if (threshold === undefined || duration < threshold) return;
    const site = String(this.#site);
    const message = `slow statement: ${Math.round(duration)} ms (slowStatementThreshold is ${threshold}), executed at ${site}: ${sql}`;
    log.warn('slowStatement', message, { sql, host, role, duration, site });
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
  const [first] = commands;
  if (!isMany && sql === first?.text && parameters === first.values) return commands;
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
  return new InvalidRequestError(`a listener of '${event}' returned an invalid value; expected ${takes}.`);
}

function isCommandResult(result: unknown): result is CommandResult {
  return typeof result === 'object' && result !== null && 'rows' in result && 'shape' in result;
}

/** What is told of an answer; -1 where the server gives no number. */
function answerOf(result: unknown): Answer {
  const isOne = isCommandResult(result) && 'rowCount' in result;
  return isOne
    ? { rowCount: result.rowCount, command: result.command }
    : { rowCount: -1, command: undefined };
}
