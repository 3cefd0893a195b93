import { printable, type EngineLogger } from '../util/logger.js';

// A label may be made of what a user sends.
const MAX_WARNINGS = 1_000;

/** Warnings of mistakes in code, each given the first time that it is met. */
export class Warnings {
  readonly #given = new Set<string>();

  /** `label` names the code. */
  once(logger: EngineLogger, label: string, message: string): void {
    const line = `${label}: ${message}`;
    if (this.#given.has(line) || this.#given.size >= MAX_WARNINGS) return;
    this.#given.add(line);
    logger.warn(printable(line));
  }
}
