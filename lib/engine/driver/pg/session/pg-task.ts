import { onAbort } from '../../../util/on-abort.js';
import { LONGEST_TIMER } from '../../../util/option-rule.js';
import type { CommandOptions, ServerStatus } from '../../driver.js';
import type { PgBatch, PgBatchParts } from './pg-batch.js';

/** A batch on its way: written at once or when those before it have been answered to the end. */
export interface PgTask extends PgBatchParts {
  readonly settle: (failure: Error | undefined, batch: PgBatch) => void;
  /** When it is too late to begin, by `performance.now()`: a blocked event loop lets the timer wait. */
  readonly deadline: number;
  /** May be written while others that are so have no answer yet. */
  readonly isPipelined: boolean;
  readonly written: (() => void) | undefined;
  batch: PgBatch;
  /** The server's state when the batch was written. */
  startedIn: ServerStatus;
  isRetried: boolean;
}

/**
 * Calls `interrupt` when the command's time has passed or its signal is aborted; returns what ends the watch.
 */
export function watchTask(
  options: CommandOptions | undefined,
  interrupt: () => void,
): (() => void) | undefined {
  const { timeout, signal } = options ?? {};
  if (timeout === undefined && signal === undefined) return undefined;
  const isTimed = timeout !== undefined && timeout <= LONGEST_TIMER;
  const timer = isTimed ? setTimeout(interrupt, timeout) : undefined;
  const ignore = signal && onAbort(signal, interrupt);
  return () => {
    clearTimeout(timer);
    ignore?.();
  };
}
