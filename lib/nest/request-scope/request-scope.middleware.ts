import type { ServerResponse } from 'node:http';
import type { AsyncEngine } from '../../engine/index.js';
import type { RequestScopeOptions } from '../shared/database-options.interface.js';
import { HttpRequestScope } from './http-request-scope.js';
import type { NodeRequest } from './http-request-scope.js';
import { ResponseEnd, SocketEnds } from './response-end.js';

type NextFunction = (error?: unknown) => void;

/**
 * Opens the scope of an HTTP request, before guards, and keeps it open until the response is over. Nothing is
 * taken from the pool for it. Both adapters hand a middleware Node's own request and response.
 */
export function requestScopeMiddleware(engine: AsyncEngine, options: RequestScopeOptions = {}) {
  const sockets = new SocketEnds();
  return (request: NodeRequest, response: ServerResponse, next: NextFunction): void => {
    const end = new ResponseEnd(request, response, sockets);
    new HttpRequestScope(engine, request, end, options).run(next);
  };
}
