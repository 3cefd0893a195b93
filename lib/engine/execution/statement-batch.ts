import type { QueryConfig } from '../statement/executable.js';
import type { CompiledStatement } from '../statement/row.js';

/** Statements that leave in one flight, compiled. */
export class StatementBatch implements QueryConfig {
  /** The first of them, by which a batch is named. */
  readonly text: string;
  readonly commands: readonly CompiledStatement[];

  constructor(commands: readonly CompiledStatement[]) {
    this.commands = commands;
    this.text = commands[0]?.text ?? '';
  }
}
