import type { ExecuteOptions, StatementOptions } from './execution-options.js';
import { IllegalStateError } from '../errors/errors.js';
import type { ObservedAnswer } from '../result/row-buffer.js';
import { withRetry } from '../transaction/retry.js';

/**
 * Sends a statement by `send` until it succeeds or fails for good; `find` gives where it would run.
 *
 * @throws IllegalStateError in a transaction, of which only the whole can be run again.
 */
export async function sendRepeatedly(
  { retry, ...options }: ExecuteOptions,
  find: () => { commitsAlone?(): boolean },
  send: (options: StatementOptions) => Promise<ObservedAnswer>,
): Promise<ObservedAnswer> {
  if (find().commitsAlone?.() !== true) {
    throw new IllegalStateError(
      "'retry' of a statement is for an engine's statements outside of transactions: inside of one, all that came " +
        'before would have to run again, too. Set it on the outermost transaction.',
    );
  }
  return await withRetry(
    () => send(options),
    retry,
    () => true,
  );
}
