import { InterfaceError } from '../../../errors/errors.js';
import { onAbort } from '../../../util/on-abort.js';
import { LONGEST_TIMER } from '../../../util/option-rule.js';
import type { CommandOptions, ServerStatus } from '../../driver.js';
import type { PgBatch } from './pg-batch.js';
import type { PgBatchParts } from './batch-parts.js';
import type { StepResult } from './pg-step.js';
import type { WriterTask } from './pg-step-writer.js';

/** A batch on its way: written at once or when those before it have been answered to the end. */
export interface PgTask extends WriterTask {
  readonly parts: PgBatchParts;
  readonly settle: (failure: Error | undefined, batch: PgBatch) => void;
  /** When it is too late to begin, by `performance.now()`: a blocked event loop lets the timer wait. */
  readonly deadline: number;
  /** May be written while others that are so have no answer yet. */
  readonly isPipelined: boolean;
  written: (() => void) | undefined;
  readonly onFlight: ((flight: number) => void) | undefined;
  batch: PgBatch;
  startedIn: ServerStatus;
  /** It was written, and is to be cancelled as soon as it runs. */
  isInterrupted: boolean;
  /** How often it was sent again because its statements were outdated. */
  repetitions: number;
  /** What was answered to the control that was sent with a question. */
  before: StepResult[];
}

/** Once, however often it is sent. */
export function tellWritten(task: PgTask): void {
  task.written?.();
  task.written = undefined;
}

/**
 * Calls `interrupt` when the command's time has passed or its signal is aborted; returns what ends the watch.
 */
export function watchTask({ timeout, signal }: CommandOptions, interrupt: () => void): () => void {
  const isTimed = timeout !== undefined && timeout <= LONGEST_TIMER;
  const timer = isTimed ? setTimeout(interrupt, timeout) : undefined;
  const ignore = signal && onAbort(signal, interrupt);
  return () => {
    clearTimeout(timer);
    ignore?.();
  };
}

/** The answers of a session do not belong to what it was sent. */
export function unanswered(): InterfaceError {
  return new InterfaceError(
    'the server answered more or fewer statements than it was sent, so that answers can no longer be told apart.',
    { connectionInvalidated: true },
  );
}
