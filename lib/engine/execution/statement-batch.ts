import type { Command } from '../driver/driver.js';
import type { QueryConfig } from '../statement/executable.js';

/** Statements that leave in one flight, compiled. */
export class StatementBatch implements QueryConfig {
  /** The first of them, by which a batch is named. */
  readonly text: string;
  readonly commands: readonly Command[];

  constructor(commands: readonly Command[]) {
    this.commands = commands;
    this.text = commands[0]?.text ?? '';
  }
}
