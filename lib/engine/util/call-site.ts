/** The library's root as stack traces spell it; undefined in a bundle, where one file holds all code. */
const OWN_FOLDER = folderIn(new Error().stack);

// Behind our own frames and those of a decorator, the default of 10 ends before the user's code.
const FRAMES = 25;

/** Where in the user's code something was started. Cheap to take; the text is made when it is first read. */
export class CallSite {
  readonly #trace: Error;

  /** Each of the `frames` costs about half a microsecond: callers near the user's code ask for few. */
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
    const own = frames.find((frame) => !isForeign(frame)) ?? frames.find((frame) => !isOurs(frame));
    return own?.trim().replace(/^at /, '') ?? 'an unknown place';
  }

  /**
   * The frames outside of this library, a line each. Written out at once, it keeps nothing alive that was on
   * the stack.
   */
  trace(): string {
    const frames = this.#trace.stack?.split('\n').slice(1) ?? [];
    return frames.filter((frame) => !isOurs(frame) && !frame.includes('node:')).join('\n');
  }
}

/**
 * Read from a stack, because `import.meta.url` does not exist where a bundler made CommonJS of this module.
 */
function folderIn(stack: unknown): string | undefined {
  const frame = String(stack).split('\n')[1] ?? '';
  return /^\s*at (?:.*\()?(.*)(?:engine[/\\]util[/\\]call-site|shared[/\\]engine)\.[cm]?[jt]s\b/.exec(
    frame,
  )?.[1];
}

function isOurs(frame: string): boolean {
  return OWN_FOLDER !== undefined && frame.includes(OWN_FOLDER);
}

function isForeign(frame: string): boolean {
  return isOurs(frame) || frame.includes('node:') || frame.includes('node_modules');
}
