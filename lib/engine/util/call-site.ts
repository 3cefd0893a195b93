/** Tells where this file is. Its text is only made when a place is: that reads all of the file anew. */
const HERE = new Error();

// Behind our own frames and those of a decorator, the default of 10 ends before the user's code.
const FRAMES = 25;

/** Each published file puts its beginning and its end here: `rolldown.config.ts` writes that into it. */
const FILES = Symbol.for('nest-async-engine.code');

const FRAME = /^\s*at (?:async )?(?:.* \()?(.+):(\d+):(\d+)\)?$/;

interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

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
    const code = new OwnCode();
    const own = frames.find((frame) => !isForeign(frame, code)) ?? frames.find((frame) => !code.has(frame));
    return own?.trim().replace(/^at /, '') ?? 'an unknown place';
  }

  /**
   * The frames outside of this library, a line each. Written out at once, it keeps nothing alive that was on
   * the stack.
   */
  trace(): string {
    const frames = this.#trace.stack?.split('\n').slice(1) ?? [];
    const code = new OwnCode();
    return frames.filter((frame) => !code.has(frame) && !frame.includes('node:')).join('\n');
  }
}

/**
 * Read from a stack, because `import.meta.url` does not exist where a bundler made CommonJS of this module.
 */
function folderIn(stack: unknown): string | undefined {
  const frame = String(stack).split('\n')[1] ?? '';
  return /^\s*at (?:.*\()?(.*)engine[/\\]util[/\\]call-site\.[cm]?[jt]s\b/.exec(frame)?.[1];
}

function isForeign(frame: string, code: OwnCode): boolean {
  return code.has(frame) || frame.includes('node:') || frame.includes('node_modules');
}

/** The code of this library, by where stack traces say it is, also in the one file of a bundle. */
class OwnCode {
  /** The library's root as stack traces spell it; undefined where its modules are joined to other files. */
  readonly #folder = folderIn(HERE.stack);
  readonly #pieces: readonly (readonly [start: Position, end: Position])[];

  constructor() {
    const published = (globalThis as { [FILES]?: readonly (readonly Error[])[] })[FILES] ?? [];
    this.#pieces = published.flatMap(([first, last]) => {
      const start = positionIn(first?.stack?.split('\n')[1]);
      const end = positionIn(last?.stack?.split('\n')[1]);
      return start === undefined || end === undefined ? [] : [[start, end] as const];
    });
  }

  has(frame: string): boolean {
    if (this.#folder !== undefined && frame.includes(this.#folder)) return true;
    const at = positionIn(frame);
    return at !== undefined && this.#pieces.some(([start, end]) => isAfter(at, start) && isAfter(end, at));
  }
}

function positionIn(frame = ''): Position | undefined {
  const [, file, line, column] = FRAME.exec(frame) ?? [];
  return file === undefined ? undefined : { file, line: Number(line), column: Number(column) };
}

function isAfter(one: Position, other: Position): boolean {
  if (one.file !== other.file) return false;
  return one.line > other.line || (one.line === other.line && one.column > other.column);
}
