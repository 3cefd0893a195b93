import type { ListenerTally } from './event-hub.js';
import { isThenable } from './option-rule.js';
import { stackOf } from '../errors/thrown.js';

/** What a line is about, for loggers that store fields rather than texts. */
export interface LogFields {
  /** `AsyncEngine` or the pool's class; with `loggingName` or `poolLoggingName`, `AsyncEngine.orders`. */
  readonly logger: string;
  /** `begin`, `statement`, `parameters`, `row`, `commit`, `slowStatement`, `checkout`, … */
  readonly event: string;
  readonly [field: string]: unknown;
}

/**
 * Where the engine's lines go. Nest's `Logger` is one; so is `console`. `fields` says again what `message`
 * says.
 */
export interface EngineLogger {
  /** What is merely of interest: the lines of `echo`. */
  log(message: string, fields?: LogFields): void;
  /** What works and should be looked at: a slow statement, a leak, an end that had to be forced. */
  warn(message: string, fields?: LogFields): void;
  /** A failure that has no caller to be thrown to. */
  error(message: string, fields?: LogFields): void;
  /** For the lines of `echo: 'debug'`; without it they go to `log`. */
  debug?(message: string, fields?: LogFields): void;
}

/** The default: the console, each line behind the name of the engine or pool. */
export const CONSOLE_LOGGER: EngineLogger = {
  log: (message, fields) => console.log(`[${fields?.logger ?? 'AsyncEngine'}] ${message}`),
  warn: (message, fields) => console.warn(`[${fields?.logger ?? 'AsyncEngine'}] ${message}`),
  error: (message, fields) => console.error(`[${fields?.logger ?? 'AsyncEngine'}] ${message}`),
};

export function isLogger(value: unknown): value is EngineLogger {
  if (typeof value !== 'object' || value === null) return false;
  return ['log', 'warn', 'error'].every(
    (method) => typeof (value as Record<string, unknown>)[method] === 'function',
  );
}

// oxlint-disable-next-line no-control-regex -- they are what is looked for
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029]/g;

/**
 * A line of the log in which no value, label or name can pass for another line: what follows a line break is
 * indented, other control characters are escaped.
 */
export function printable(message: string): string {
  return message
    .replaceAll('\n', '\n  ')
    .replace(CONTROL, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** An error that cannot be thrown without hiding another one, with its stack. */
export function reportError(logger: EngineLogger, error: unknown): void {
  logger.error(printable(stackOf(error)));
}

/**
 * The logger of an application, which is its code: a line that it fails to write goes to the console and
 * stops nothing.
 */
export class GuardedLogger implements EngineLogger {
  readonly #logger: EngineLogger;

  private constructor(logger: EngineLogger) {
    this.#logger = logger;
  }

  static around(logger: EngineLogger): EngineLogger {
    return logger instanceof GuardedLogger || logger === CONSOLE_LOGGER ? logger : new GuardedLogger(logger);
  }

  log(message: string, fields?: LogFields): void {
    this.#write('log', message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#write('warn', message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#write('error', message, fields);
  }

  debug(message: string, fields?: LogFields): void {
    this.#write(typeof this.#logger.debug === 'function' ? 'debug' : 'log', message, fields);
  }

  #write(level: 'log' | 'warn' | 'error' | 'debug', message: string, fields: LogFields | undefined): void {
    const failed = (failure: unknown): void => {
      CONSOLE_LOGGER.error(`${message}\n  (the logger has failed: ${printable(stackOf(failure))})`, fields);
    };
    try {
      const writing: unknown = this.#logger[level]?.(message, fields);
      if (isThenable(writing)) writing.then(undefined, failed);
    } catch (failure) {
      failed(failure);
    }
  }
}

/** `true`: what is sent. `'debug'`: also what comes back, and for a pool each checkout and return. */
export type Echo = boolean | 'debug';

/** The lines of one engine or pool, as far as they are asked for. */
export class EchoLog {
  readonly logger: EngineLogger;
  readonly #name: string;
  readonly #tally: ListenerTally;
  #echo: Echo = false;

  constructor(logger: EngineLogger, name: string, echo: Echo, tally: ListenerTally) {
    this.logger = logger;
    this.#name = name;
    this.#tally = tally;
    this.echo = echo;
  }

  get echo(): Echo {
    return this.#echo;
  }

  // Counts as a listener, so that an object without listeners is not asked for its log.
  set echo(echo: Echo) {
    this.#tally.count += Number(echo !== false) - Number(this.#echo !== false);
    this.#echo = echo;
  }

  get isOn(): boolean {
    return this.#echo !== false;
  }

  get isDebug(): boolean {
    return this.#echo === 'debug';
  }

  info(event: string, message: string, fields?: Readonly<Record<string, unknown>>): void {
    if (this.isOn) this.logger.log(printable(message), { logger: this.#name, event, ...fields });
  }

  debug(event: string, message: string, fields?: Readonly<Record<string, unknown>>): void {
    if (!this.isDebug) return;
    const all = { logger: this.#name, event, ...fields };
    if (this.logger.debug === undefined) this.logger.log(printable(message), all);
    else this.logger.debug(printable(message), all);
  }

  /** Whether or not there is an echo. */
  warn(event: string, message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.logger.warn(printable(message), { logger: this.#name, event, ...fields });
  }
}
