import { DBAPIError } from '../errors/errors.js';
import type { FailureFacts, Verdict, Watch } from './watch.js';

/**
 * What a failure means for the session that it happened on; listeners of `handleError` may see it otherwise.
 */
export function judge(error: unknown, watch: Watch<unknown> | undefined, facts?: FailureFacts): Verdict {
  if (watch !== undefined) return watch.failed(error, facts);
  const isDisconnect = error instanceof DBAPIError && error.connectionInvalidated;
  return { isDisconnect, invalidatesPool: true };
}
