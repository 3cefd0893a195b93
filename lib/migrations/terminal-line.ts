import { printable } from '../engine/util/logger.js';

/** Between two writes, in ms; what ends before the first one is not shown. */
const INTERVAL = 1000;

const CLEAR_LINE = '\r\u001b[K';

/** The last line of a terminal: what a person waits for, and since when. Nothing goes to a file or a pipe. */
export class TerminalLine {
  readonly #terminal = process.stderr.isTTY && process.env['TERM'] !== 'dumb' ? process.stderr : undefined;
  #timer: NodeJS.Timeout | undefined;
  #written = false;

  /** Shows `text` in place of the one before. */
  show(text: string): void {
    this.end();
    const terminal = this.#terminal;
    if (terminal === undefined) return;
    let seconds = 0;
    this.#timer = setInterval(() => {
      seconds += 1;
      // A line that wraps could not be cleared; the cursor stays in front, where the log may write.
      const line = printable(`${text} (${seconds} s)`).slice(0, (terminal.columns || 80) - 1);
      terminal.write(`${CLEAR_LINE}${line}\r`);
      this.#written = true;
    }, INTERVAL).unref();
  }

  end(): void {
    clearInterval(this.#timer);
    if (this.#written) this.#terminal?.write(CLEAR_LINE);
    this.#written = false;
  }
}
