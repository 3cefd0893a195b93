import type { IncomingMessage } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import type { AsyncEngine, Lease, Scope } from '../../engine/index.js';
import type { RequestScopeOptions } from '../shared/database-options.interface.js';
import type { ResponseEnd } from './response-end.js';

/** The default of `requestScope.orphanTimeout`, in ms. */
export const ORPHAN_TIMEOUT = 30_000;

/** Node's request; below a mounted path, Express cuts that off `url`. */
export type NodeRequest = IncomingMessage & { originalUrl?: string };

/**
 * `arriving`: in front of its handler. `abandoned`: its client left while it was there. `handled`: its
 * handler has started. `over`: it keeps the scope open no longer.
 */
type RequestState = 'arriving' | 'abandoned' | 'handled' | 'over';

/** One HTTP request between its arrival and the end of its response: keeps its scope open meanwhile. */
export class HttpRequestScope {
  readonly #engine: AsyncEngine;
  readonly #scope: Scope;
  readonly #lease: Lease;
  readonly #orphanTimeout: number;
  readonly response: ResponseEnd;
  #state: RequestState = 'arriving';

  constructor(
    engine: AsyncEngine,
    request: NodeRequest,
    response: ResponseEnd,
    { commit, connection, orphanTimeout = ORPHAN_TIMEOUT }: RequestScopeOptions,
  ) {
    this.#engine = engine;
    this.response = response;
    this.#orphanTimeout = orphanTimeout;
    this.#scope = engine.openScope({
      // Not a function of the request: what outlives it in its async context would keep all of it in memory.
      label: routeOf(request),
      commit,
      connection: connection && (() => connection(request)),
      owner: this,
    });
    this.#lease = this.#scope.lease();
    response.onEnd(() => this.#responseClosed(request));
  }

  /** Runs `work` in the request's scope. */
  run(work: () => void): void {
    this.#scope.run(work);
  }

  /** A handler has started, which keeps the scope open by itself. */
  handlerStarted(): void {
    if (this.#state === 'abandoned') this.#release();
    else if (this.#state === 'arriving') this.#state = 'handled';
  }

  #responseClosed(request: NodeRequest): void {
    // Guards may still run: the connection that they wait for is not pulled away. No handler takes half a
    // body.
    const isAwaited = this.#state === 'arriving' && !this.response.isAnswered && !isCutShort(request);
    if (!this.response.isAnswered) this.#scope.leaveLine();
    if (isAwaited) this.#state = 'abandoned';
    else this.#release();
    if (this.#scope.isOpen) setTimeout(() => this.#endOrphan(), this.#orphanTimeout).unref();
  }

  #endOrphan(): void {
    if (this.#state === 'abandoned') return this.#release();
    if (!this.#scope.isOpen) return;
    this.#engine.logger.warn(
      `${this.#scope.origin} is still running ${this.#orphanTimeout} ms after its client disconnected. ` +
        `Stop the handler when its request is closed, or give its statements a timeout.`,
    );
  }

  #release(): void {
    this.#state = 'over';
    this.#lease.release()?.catch((error: unknown) => this.#engine.logger.error(String(error)));
  }
}

/** True: its client went away in the middle of its body. */
function isCutShort(request: NodeRequest): boolean {
  const { stream } = request as { readonly stream?: ServerHttp2Stream };
  if (stream !== undefined) return !stream.endAfterHeaders && !stream.readableEnded;
  return !request.complete;
}

// Without the query: it may be secret.
function routeOf({ method, url, originalUrl = url }: NodeRequest): string {
  const path = originalUrl ?? '';
  const end = path.indexOf('?');
  return `${method} ${end === -1 ? path : path.slice(0, end)}`;
}
