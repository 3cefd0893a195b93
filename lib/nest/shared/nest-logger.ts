import { Logger } from '@nestjs/common';
import type { EngineLogger, LogFields } from '../../engine/index.js';

const ENGINE = 'AsyncEngine';

/** The engine's lines in Nest's log, with the engine or the pool as their context. */
export class NestLogger implements EngineLogger {
  readonly #logger = new Logger();

  log(message: string, fields?: LogFields): void {
    this.#logger.log(message, fields?.logger ?? ENGINE);
  }

  warn(message: string, fields?: LogFields): void {
    this.#logger.warn(message, fields?.logger ?? ENGINE);
  }

  // Nest takes what comes second for a stack, unless the context is behind it.
  error(message: string, fields?: LogFields): void {
    this.#logger.error(message, undefined, fields?.logger ?? ENGINE);
  }

  debug(message: string, fields?: LogFields): void {
    this.#logger.debug(message, fields?.logger ?? ENGINE);
  }
}
