import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

// The library's root: this file lies in engine/util.
const OWN_FOLDER = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

// Behind our own frames and those of a decorator, the default of 10 ends before the user's code.
const FRAMES = 25;

/** Where in the user's code something was begun. Taken cheaply, written out only when somebody asks. */
export class CallSite {
  readonly #trace: Error;

  /** Each of the `frames` costs about half a microsecond: whoever is near to the user's code takes few. */
  constructor(frames = FRAMES) {
    const { stackTraceLimit } = Error;
    // The first is this constructor's. To leave it out, by captureStackTrace(), takes twice as long.
    Error.stackTraceLimit = frames + 1;
    this.#trace = new Error();
    Error.stackTraceLimit = stackTraceLimit;
  }

  /**
   * The first frame that is neither ours nor Node's nor a dependency's: `placeOrder
   * (orders.service.ts:41:5)`.
   */
  toString(): string {
    const frames = this.#trace.stack?.split('\n').slice(1) ?? [];
    const own =
      frames.find((frame) => !isForeign(frame)) ?? frames.find((frame) => !frame.includes(OWN_FOLDER));
    return own?.trim().replace(/^at /, '') ?? 'an unknown place';
  }

  /**
   * The frames outside of this library, a line each. Written out at once, it keeps nothing alive that was on
   * the stack.
   */
  trace(): string {
    const frames = this.#trace.stack?.split('\n').slice(1) ?? [];
    return frames.filter((frame) => !frame.includes(OWN_FOLDER) && !frame.includes('node:')).join('\n');
  }
}

function isForeign(frame: string): boolean {
  return frame.includes(OWN_FOLDER) || frame.includes('node:') || frame.includes('node_modules');
}
