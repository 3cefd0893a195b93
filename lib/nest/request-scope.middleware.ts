import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AsyncEngine } from '../engine/index.js';
import type { RequestScopeOptions } from './database-options.interface.js';
import type { OpenRequests } from './open-requests.js';

type NextFunction = (error?: unknown) => void;

/** The default of `requestScope.orphanTimeout`, in ms. */
export const ORPHAN_TIMEOUT = 30_000;

/**
 * Opens the scope of an HTTP request, before guards, and keeps it open until the response is closed. Nothing is taken
 * from the pool for it. Both adapters hand a middleware Node's own request and response.
 */
export function requestScopeMiddleware(
  engine: AsyncEngine,
  requests: OpenRequests,
  options: RequestScopeOptions = {},
) {
  const { commit, connection, orphanTimeout = ORPHAN_TIMEOUT } = options;
  return (
    request: IncomingMessage & { originalUrl?: string },
    response: ServerResponse,
    next: NextFunction,
  ): void => {
    const [path = ''] = (request.originalUrl ?? request.url ?? '').split('?', 1);
    const label = `${request.method} ${path}`;
    const late = connection && (() => connection(request));
    const scope = engine.openScope({ label, commit, connection: late });
    const open = requests.open(scope, engine.logger);
    // Ended, not finished: a client may take all of it and be gone before the last byte is acknowledged.
    response.once('close', () => open.leave(response.writableEnded, orphanTimeout));
    scope.run(next);
  };
}
