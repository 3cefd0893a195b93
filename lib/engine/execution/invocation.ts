import type { FailureClass } from './connection-observer.js';
import type { ObservedTransaction } from '../transaction/transaction-observation.js';
import type {
  AnswerReceiver,
  Command,
  CommandList,
  CommandOptions,
  CommandResult,
  Control,
  DriverConnection,
  DriverRow,
} from '../driver/driver.js';
import { ArgumentError } from '../errors/errors.js';
import { DEFAULT_PAGE_SIZE, type StatementOptions } from './execution-options.js';
import { CompiledSets, ParameterBatch } from '../statement/parameter-batch.js';
import { CopyStatement } from './copy/copy-statement.js';
import { StatementBatch } from './statement-batch.js';
import { compileAsWritten, compileBatch, compileMany, compileStatement } from '../statement/compile.js';
import { controlRefused, type TransactionCommand } from '../statement/transaction-command.js';
import { TextClause } from '../statement/text.js';
import type { CompiledCache } from '../statement/compiled-cache.js';
import type { Executable } from '../statement/executable.js';
import type { CompiledStatement, Parameters } from '../statement/row.js';
import { StatementTimeout } from './statement-timeout.js';
import type { WaitEnd } from '../util/wait-end.js';

/** One set of values, or many for an executemany. */
export type StatementParameters = Parameters | readonly Parameters[];

/** What a batch comes to: a result for each of its statements. */
export interface BatchAnswer extends CommandResult {
  readonly each?: readonly CommandResult[];
}

/** What is told of the session that a command runs on. */
export type SessionFacts = Pick<DriverConnection, 'processId' | 'server'>;

/** What is known of a command besides the driver's options. */
export interface TargetOptions extends CommandOptions {
  /** Classifies its failure. */
  readonly observer?: CommandObserver | undefined;
}

/** Where an invocation is sent: a session, or a connection's borrowed one. */
export interface CommandTarget {
  execute(
    control: readonly Control[],
    command: Command,
    options?: TargetOptions,
    receiver?: AnswerReceiver,
  ): Promise<CommandResult>;
  executeMany(
    control: readonly Control[],
    commands: CommandList,
    options?: TargetOptions,
  ): Promise<CommandResult[]>;
}

/** What a statement has come to: -1 rows where the server gives no number. */
export type FinishedStatement = Pick<CommandResult, 'rowCount' | 'shape'> & { readonly command?: string };

/** Sends commands in its own way, and is told how they end. */
export interface CommandObserver {
  /** False: `run()` gives what `send` gives, and changes nothing. */
  readonly isHeard: boolean;
  run<T>(
    commands: CommandList,
    send: (commands: CommandList) => Promise<T>,
    session: SessionFacts | undefined,
  ): Promise<T>;
  /** Something of it leaves for the server; see {@link CommandOptions.onFlight}. */
  left(flight: number): void;
  /** So many sets of an executemany have run. */
  progressed(done: number, total: number): void;
  /** The transaction that it is about to be sent in. */
  runsIn(transaction: ObservedTransaction): void;
  /** Tells of the whole, from the call to the answer. */
  traced<T>(work: () => Promise<T>): Promise<T>;
  /** Tells of the beginning of a stream: its first pull. */
  beginStream<T>(work: () => T): T;
  /** It has its answer, or has failed; a stream has no more rows or was closed. The first end counts. */
  ended(error?: unknown): void;
  /** Asks `handleError` what the failure means; once. */
  failed(error: unknown): FailureClass;
  /** True: a listener was stopped from outside, which leaves the session in an unknown state. */
  readonly isInterrupted: boolean;
  /** What `handleError` made of an error of the driver that a listener has thrown. */
  readonly failure: FailureClass | undefined;
  /** The statement has succeeded. */
  finished(result: FinishedStatement): void;
  /** Told of each row that is handed out; undefined where rows are not logged. */
  readonly onFetch: ((row: DriverRow) => void) | undefined;
}

/** The same options with what `observer` hears of. */
export function observedOptions(observer: CommandObserver, options?: CommandOptions): TargetOptions {
  const onFlight = (flight: number): void => observer.left(flight);
  return options === undefined ? { observer, onFlight } : { ...options, observer, onFlight };
}

/** A statement with its values, compiled and checked, ready to be sent once. */
export class Invocation {
  readonly commands: readonly CompiledStatement[] | CompiledSets;
  readonly options: StatementOptions;
  /** An executemany of several sets. */
  readonly isMany: boolean;
  /** A COPY, which other statements of its transaction wait for. */
  readonly isExclusive: boolean;
  /** Set where the statement is observed. */
  observer: CommandObserver | undefined;
  /** Set where an executemany has no transaction around it, and is stored as a whole. */
  isAtomic = false;
  /** Plain BEGIN, COMMIT or ROLLBACK, which only a connection of one's own can take for what they say. */
  readonly control: TransactionCommand | undefined;
  /** True: its commands are statements of their own, each with a result. */
  readonly #isBatch: boolean;
  /** It has a `timeout` or a `signal`. */
  readonly isLimited: boolean;
  readonly #limit: StatementTimeout | undefined;
  /** Those that were given with the statement itself. */
  readonly settings: StatementOptions['settings'];

  /** `options`: those that are `given` with the statement, and the defaults of where it runs. */
  constructor(
    statement: Executable<unknown>,
    parameters: StatementParameters | undefined,
    options: StatementOptions,
    cache: CompiledCache | undefined,
    given?: StatementOptions,
  ) {
    this.options = options;
    this.settings = given?.settings && settingsOf(given.settings, options);
    this.#isBatch = statement instanceof StatementBatch;
    this.isExclusive = statement instanceof CopyStatement;
    const { timeout, signal, prepare } = options;
    this.isLimited = timeout !== undefined || signal !== undefined;
    if (this.isLimited) this.#limit = new StatementTimeout(timeout, signal);
    const ownCache = options.compiledCache;
    const compiled = compile(
      statement,
      parameters,
      options,
      ownCache === undefined ? cache : (ownCache ?? undefined),
    );
    for (const { control } of compiled.slice(0, this.#isBatch ? undefined : 1)) {
      if (control === undefined) continue;
      if (this.#isBatch || compiled.length > 1 || !control.isPlain) throw controlRefused(control);
      this.control = control;
    }
    this.commands = prepare === undefined ? compiled : preparing(compiled, prepare);
    this.isMany = compiled.length > 1;
  }

  /** Of an executemany, that of the first set where all have one. */
  get texts(): readonly string[] {
    const { commands } = this;
    return commands.slice(0, commands instanceof CompiledSets ? 1 : undefined).map(({ text }) => text);
  }

  /** The only statement of an execution that is not an executemany. */
  get command(): CompiledStatement {
    const [command] = this.commands;
    if (command !== undefined && !this.isMany) return command;
    throw new ArgumentError('a stream takes one set of parameters.');
  }

  /**
   * Runs `work`, whose wait for a connection the statement's `timeout` and `signal` end by what it gets.
   */
  wait<T>(work: (end: WaitEnd | undefined) => Promise<T>): Promise<T> {
    return this.#limit === undefined ? work(undefined) : this.#limit.during(work);
  }

  /** The same for a stream, whose time begins with its first pull. */
  waitForPortal<T>(work: (end: WaitEnd | undefined) => Promise<T>): Promise<T> {
    const { timeout, signal } = this.options;
    return this.#limit === undefined ? work(undefined) : new StatementTimeout(timeout, signal).during(work);
  }

  /**
   * Sends everything; `control` travels in front. `session`: what `target` runs it on, for its observer.
   * `receiver` is handed on where nothing else hears of the answer.
   */
  run(
    target: CommandTarget,
    control: readonly Control[],
    deadline: AbortSignal | undefined,
    session?: SessionFacts,
    receiver?: AnswerReceiver,
  ): Promise<CommandResult> {
    const options = this.isLimited || deadline !== undefined ? this.commandOptions(deadline) : undefined;
    const { observer } = this;
    if (observer !== undefined) {
      const observed = observedOptions(observer, options);
      const send = (commands: CommandList): Promise<CommandResult> =>
        this.#send(commands, target, control, observed);
      return observer.run(this.commands, send, session);
    }
    const [command] = this.commands;
    return command === undefined || this.isMany
      ? this.#runPages(this.commands, target, control, options)
      : target.execute(control, command, options, receiver);
  }

  #send(
    commands: CommandList,
    target: CommandTarget,
    control: readonly Control[],
    options: TargetOptions | undefined,
  ): Promise<CommandResult> {
    const [command] = commands;
    return command !== undefined && commands.length === 1
      ? target.execute(control, command, options)
      : this.#runPages(commands, target, control, options);
  }

  /** Parameter sets that are made ready at a time. */
  get pageSize(): number {
    if (this.#isBatch) return this.commands.length;
    return this.options.insertmanyvaluesPageSize ?? DEFAULT_PAGE_SIZE;
  }

  async #runPages(
    commands: CommandList,
    target: CommandTarget,
    control: readonly Control[],
    options: TargetOptions | undefined,
  ): Promise<BatchAnswer> {
    const results = await target.executeMany(control, commands, {
      ...options,
      pageSize: this.pageSize,
      isAtomic: this.isAtomic,
      isBatch: this.#isBatch,
      onProgress: options?.observer && ((done) => options.observer?.progressed(done, commands.length)),
    });
    return this.#isBatch ? { ...merge(results), each: results } : merge(results);
  }

  /**
   * What cancels it once it is sent: what is left of its own `timeout`, its `signal`, and the transaction's
   * deadline.
   */
  commandOptions(
    deadline: AbortSignal | undefined,
    timeout = this.#limit?.timeLeft,
  ): CommandOptions | undefined {
    const limit = this.#limit;
    if (limit === undefined && deadline === undefined) return undefined;
    limit?.end();
    const { signal } = this.options;
    const signals = [signal, deadline].filter((one) => one !== undefined);
    return { timeout, signal: signals.length > 1 ? AbortSignal.any(signals) : signals[0] };
  }
}

function compile(
  statement: Executable<unknown>,
  parameters: StatementParameters | undefined,
  options: StatementOptions,
  cache: CompiledCache | undefined,
): readonly CompiledStatement[] | CompiledSets {
  if (statement instanceof ParameterBatch) return compileBatch(statement);
  if (statement instanceof StatementBatch) return statement.commands;
  const { noParameters, schemaTranslateMap } = options;
  if (statement instanceof CopyStatement) return [statement.commandFor(schemaTranslateMap)];
  if (Array.isArray(parameters))
    return compileMany(statement, expectSets(parameters as readonly Parameters[]), cache, schemaTranslateMap);
  const values = parameters as Parameters | undefined;
  // Without values, and where the options say so, a text is the driver's as it stands.
  if (noParameters === true && statement instanceof TextClause && isEmpty(values))
    return [compileAsWritten(statement)];
  return [compileStatement(statement, values, cache, schemaTranslateMap)];
}

function preparing(
  commands: readonly CompiledStatement[] | CompiledSets,
  prepare: boolean,
): readonly CompiledStatement[] | CompiledSets {
  return commands instanceof CompiledSets
    ? commands.preparing(prepare)
    : commands.map((command) => ({ ...command, prepare }));
}

/** What `options` have of the names in `given`: options are kept with names in lower case. */
function settingsOf(given: object, options: StatementOptions): StatementOptions['settings'] {
  const names = new Set(Object.keys(given).map((name) => name.toLowerCase()));
  return Object.fromEntries(Object.entries(options.settings ?? {}).filter(([name]) => names.has(name)));
}

function isEmpty(parameters: Parameters | undefined): boolean {
  return parameters === undefined || Object.keys(parameters).length === 0;
}

function expectSets(sets: readonly Parameters[]): readonly Parameters[] {
  if (sets.length === 0)
    throw new ArgumentError('the list of parameter sets is empty: there is nothing to execute.');
  if (!sets.includes(undefined as never)) return sets;
  const missing = sets.findIndex((set: unknown) => set === undefined);
  throw new ArgumentError(`parameter set ${missing} of the list is undefined.`);
}

/** One result for all sets: rows in the order of the input, the sum of the rows affected. */
function merge(results: readonly CommandResult[]): CommandResult {
  const last = results[results.length - 1];
  return {
    command: last?.command ?? '',
    rowCount: results.reduce((sum, result) => sum + Math.max(result.rowCount, 0), 0),
    shape: last?.shape,
    rows: results.flatMap((result) => result.rows),
    ...(last?.warnings && { warnings: last.warnings }),
  };
}
