import type { Command, Control } from '../../engine/index.js';

/** One thing that a borrower runs: what must be in front of it, what it says, and how it is sent. */
export interface Piece<T> {
  readonly control: readonly Control[];
  readonly commands: readonly Command[];
  readonly signal: AbortSignal | undefined;
  readonly send: (opening: readonly Control[], commands: readonly Command[]) => Promise<T>;
}

/** A command of the kit's own, which is not kept as a prepared statement. */
export const unprepared = (text: string): Command & Control => ({ text, prepare: false });
