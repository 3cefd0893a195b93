/** Where the engine's lines go. Nest's `Logger` is one; so is `console`. */
export interface EngineLogger {
  log(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** The default: nothing but warnings and errors, on the console. */
export const CONSOLE_LOGGER: EngineLogger = {
  log: () => undefined,
  warn: (message) => console.warn(`[AsyncEngine] ${message}`),
  error: (message) => console.error(`[AsyncEngine] ${message}`),
};

/** An error that cannot be thrown without hiding another one, with its stack. */
export function reportError(logger: EngineLogger, error: unknown): void {
  logger.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
}
