import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AsyncEngine } from '../engine/index.js';
import type { RequestScopeOptions } from './database-options.interface.js';

type NextFunction = (error?: unknown) => void;

/** The default of `requestScope.orphanTimeout`, in ms. */
export const ORPHAN_TIMEOUT = 30_000;

/**
 * Opens the scope of an HTTP request, before guards, and keeps it open until the response is closed. Nothing is taken
 * from the pool for it. Both adapters hand a middleware Node's own request and response.
 */
export function requestScopeMiddleware(engine: AsyncEngine, options: RequestScopeOptions = {}) {
  const { commit, connection, orphanTimeout = ORPHAN_TIMEOUT } = options;
  return (
    request: IncomingMessage & { originalUrl?: string },
    response: ServerResponse,
    next: NextFunction,
  ): void => {
    const [path = ''] = (request.originalUrl ?? request.url ?? '').split('?', 1);
    const label = `${request.method} ${path}`;
    const scope = engine.openScope({ label, commit, connection: connection && (() => connection(request)) });
    const lease = scope.lease();
    response.once('close', () => {
      lease.release().catch((error: unknown) => engine.logger.error(String(error)));
      if (!scope.isOpen) return;
      const warn = (): void => {
        if (scope.isOpen)
          engine.logger.warn(`${label} still runs ${orphanTimeout} ms after its client has gone.`);
      };
      setTimeout(warn, orphanTimeout).unref();
    });
    scope.run(next);
  };
}
