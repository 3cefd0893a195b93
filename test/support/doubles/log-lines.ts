import type { EngineLogger, LogFields } from 'nest-async-engine/engine';

/** One call of the logger. */
export interface LogLine {
  readonly level: 'log' | 'warn' | 'error' | 'debug';
  readonly message: string;
  readonly fields: LogFields | undefined;
}

/** A logger that keeps all its lines with their fields. */
export class LogLines implements EngineLogger {
  readonly lines: LogLine[] = [];

  log(message: string, fields?: LogFields): void {
    this.lines.push({ level: 'log', message, fields });
  }

  warn(message: string, fields?: LogFields): void {
    this.lines.push({ level: 'warn', message, fields });
  }

  error(message: string, fields?: LogFields): void {
    this.lines.push({ level: 'error', message, fields });
  }

  debug(message: string, fields?: LogFields): void {
    this.lines.push({ level: 'debug', message, fields });
  }

  /** The messages so far, durations cut out; empties the list. */
  take(): string[] {
    return this.lines.splice(0).map(({ message }) => message.replace(/\d+(\.\d+)?(e-\d+)?s/, '…s'));
  }
}
