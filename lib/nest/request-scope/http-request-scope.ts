import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AsyncEngine, Lease, Scope } from '../../engine/index.js';
import type { RequestScopeOptions } from '../shared/database-options.interface.js';

/** The default of `requestScope.orphanTimeout`, in ms. */
export const ORPHAN_TIMEOUT = 30_000;

/** Node's request; below a mounted path, Express cuts that off `url`. */
export type NodeRequest = IncomingMessage & { originalUrl?: string };

/** `arriving`: in front of its handler. `gone`: its client left while it was there. */
type RequestState = 'arriving' | 'gone' | 'entered';

/** One HTTP request between its arrival and the end of its response: keeps its scope open meanwhile. */
export class HttpRequestScope {
  readonly #engine: AsyncEngine;
  readonly #scope: Scope;
  readonly #lease: Lease;
  #state: RequestState = 'arriving';

  constructor(
    engine: AsyncEngine,
    request: NodeRequest,
    { commit, connection }: Pick<RequestScopeOptions, 'commit' | 'connection'>,
  ) {
    this.#engine = engine;
    this.#scope = engine.openScope({
      // Not a function of the request: what outlives it in its async context would keep all of it in memory.
      label: routeOf(request),
      commit,
      connection: connection && (() => connection(request)),
      owner: this,
    });
    this.#lease = this.#scope.lease();
  }

  /** Runs `work` in the request's scope until `response` is closed. */
  run(work: () => void, response: ServerResponse, orphanTimeout: number): void {
    // Ended, not finished: a client may take all of it and be gone before the last byte is acknowledged.
    response.once('close', () => this.#responseClosed(response.writableEnded, orphanTimeout));
    this.#scope.run(work);
  }

  /** The handler has begun and keeps the scope open by itself. */
  handlerStarted(): void {
    if (this.#state === 'gone') this.#release();
    this.#state = 'entered';
  }

  /**
   * The response is closed. Guards may run still, and what they wait for is not pulled away, nor is the
   * handler.
   */
  #responseClosed(isAnswered: boolean, orphanTimeout: number): void {
    if (this.#state === 'arriving' && !isAnswered) this.#state = 'gone';
    else this.#release();
    if (this.#scope.isOpen) setTimeout(() => this.#endOrphan(orphanTimeout), orphanTimeout).unref();
  }

  #endOrphan(orphanTimeout: number): void {
    if (!this.#scope.isOpen) return;
    if (this.#state === 'gone') return this.#release();
    this.#engine.logger.warn(
      `${this.#scope.origin} still runs ${orphanTimeout} ms after its client has gone. ` +
        `Let the handler watch for the end of its request, or give its statements a timeout.`,
    );
  }

  #release(): void {
    this.#lease.release()?.catch((error: unknown) => this.#engine.logger.error(String(error)));
  }
}

// Without the query: it may be secret.
function routeOf({ method, url, originalUrl = url }: NodeRequest): string {
  const path = originalUrl ?? '';
  const end = path.indexOf('?');
  return `${method} ${end === -1 ? path : path.slice(0, end)}`;
}
