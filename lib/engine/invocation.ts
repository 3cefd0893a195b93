import type { Command, CommandOptions, CommandResult, Control } from './driver/driver.js';
import { ArgumentError } from './errors.js';
import type { StatementOptions } from './execution-options.js';
import { compileMany, compileStatement } from './statement/index.js';
import type { CompiledCache, Executable, Parameters } from './statement/index.js';

/** One set of values, or many for an executemany. */
export type StatementParameters = Parameters | readonly Parameters[];

/** Where an invocation is sent: a session, or a connection's borrowed one. */
export interface CommandTarget {
  execute(control: readonly Control[], command: Command, options?: CommandOptions): Promise<CommandResult>;
  executeMany(
    control: readonly Control[],
    commands: readonly Command[],
    options?: CommandOptions,
  ): Promise<CommandResult[]>;
}

/** Parameter sets of an executemany that travel under one Sync. */
export const MANY_PAGE_SIZE = 1_000;

const NO_CONTROL: readonly Control[] = [];

/** A statement with its values, compiled and checked, ready to be sent once. */
export class Invocation {
  readonly commands: readonly Command[];
  readonly options: StatementOptions;

  constructor(
    statement: Executable<unknown>,
    parameters: StatementParameters | undefined,
    options: StatementOptions,
    cache: CompiledCache,
  ) {
    this.options = options;
    const compiled = isMany(parameters)
      ? compileMany(statement, expectSets(parameters), cache)
      : [compileStatement(statement, parameters, cache)];
    const { prepare } = options;
    this.commands = prepare === undefined ? compiled : compiled.map((command) => ({ ...command, prepare }));
  }

  /** The only statement, of what is no executemany. */
  get command(): Command {
    const [command] = this.commands;
    if (command !== undefined && !this.isMany) return command;
    throw new ArgumentError('a stream takes one set of parameters.');
  }

  get isMany(): boolean {
    return this.commands.length > 1;
  }

  /** Sends everything, page by page; `control` travels in front of the first page. */
  run(
    target: CommandTarget,
    control: readonly Control[],
    deadline: AbortSignal | undefined,
  ): Promise<CommandResult> {
    const options = this.commandOptions(deadline);
    return this.isMany
      ? this.#runPages(target, control, options)
      : target.execute(control, this.command, options);
  }

  async #runPages(
    target: CommandTarget,
    control: readonly Control[],
    options: CommandOptions | undefined,
  ): Promise<CommandResult> {
    const results: CommandResult[] = [];
    for (let start = 0; start < this.commands.length; start += MANY_PAGE_SIZE) {
      const page = this.commands.slice(start, start + MANY_PAGE_SIZE);
      results.push(...(await target.executeMany(start === 0 ? control : NO_CONTROL, page, options)));
    }
    return merge(results);
  }

  /** What cancels it: its own `timeout` and `signal`, and the transaction's deadline. */
  commandOptions(deadline: AbortSignal | undefined): CommandOptions | undefined {
    const { timeout, signal } = this.options;
    if (timeout === undefined && signal === undefined && deadline === undefined) return undefined;
    const signals = [signal, deadline].filter((one) => one !== undefined);
    return { timeout, signal: signals.length > 1 ? AbortSignal.any(signals) : signals[0] };
  }
}

function isMany(parameters: StatementParameters | undefined): parameters is readonly Parameters[] {
  return Array.isArray(parameters);
}

function expectSets(sets: readonly Parameters[]): readonly Parameters[] {
  if (sets.length > 0) return sets;
  throw new ArgumentError('the list of parameter sets is empty: there is nothing to execute.');
}

/** One result for all sets: rows in the order of the input, the sum of the rows affected. */
function merge(results: readonly CommandResult[]): CommandResult {
  const last = results[results.length - 1];
  return {
    command: last?.command ?? '',
    rowCount: results.reduce((sum, result) => sum + Math.max(result.rowCount, 0), 0),
    shape: last?.shape,
    rows: results.flatMap((result) => result.rows),
  };
}
