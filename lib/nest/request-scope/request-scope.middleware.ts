import type { ServerResponse } from 'node:http';
import type { AsyncEngine } from '../../engine/index.js';
import type { RequestScopeOptions } from '../shared/database-options.interface.js';
import { ORPHAN_TIMEOUT, HttpRequestScope } from './http-request-scope.js';
import type { NodeRequest } from './http-request-scope.js';

type NextFunction = (error?: unknown) => void;

/**
 * Opens the scope of an HTTP request, before guards, and keeps it open until the response is closed. Nothing
 * is taken from the pool for it. Both adapters hand a middleware Node's own request and response.
 */
export function requestScopeMiddleware(engine: AsyncEngine, options: RequestScopeOptions = {}) {
  const { orphanTimeout = ORPHAN_TIMEOUT } = options;
  return (request: NodeRequest, response: ServerResponse, next: NextFunction): void => {
    new HttpRequestScope(engine, request, options).run(next, response, orphanTimeout);
  };
}
