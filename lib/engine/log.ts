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
