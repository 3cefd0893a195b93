import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const OWN_FOLDER = dirname(fileURLToPath(import.meta.url));

/** Where in the user's code something was begun. Taken cheaply, written out only when somebody asks. */
export class CallSite {
  readonly #trace: { stack?: string } = {};

  constructor() {
    Error.captureStackTrace(this.#trace, CallSite);
  }

  /** The first frame that is neither ours nor Node's nor a dependency's: `placeOrder (orders.service.ts:41:5)`. */
  toString(): string {
    const frames = this.#trace.stack?.split('\n').slice(1) ?? [];
    const own =
      frames.find((frame) => !isForeign(frame)) ?? frames.find((frame) => !frame.includes(OWN_FOLDER));
    return own?.trim().replace(/^at /, '') ?? 'an unknown place';
  }
}

function isForeign(frame: string): boolean {
  return frame.includes(OWN_FOLDER) || frame.includes('node:') || frame.includes('node_modules');
}
