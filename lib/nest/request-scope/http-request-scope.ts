import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import type { AsyncEngine, Lease, Scope } from '../../engine/index.js';
import { printable, reportError } from '../../engine/util/logger.js';
import type { RequestConsistency, RequestScopeOptions } from '../shared/database-options.interface.js';
import { ResponseEnd, type SocketEnds } from './response-end.js';
import { addToHead } from './response-head.js';

/** The default of `requestScope.orphanTimeout`, in ms. */
export const ORPHAN_TIMEOUT = 30_000;

/** Node's request; below a mounted path, Express cuts that off `url`. */
export type NodeRequest = IncomingMessage & { originalUrl?: string };

/** Found by the request: what comes from outside, such as a socket, may have another async context. */
const SCOPES = Symbol('nest-async-engine:request-scopes');

type ScopedRequest = { [SCOPES]?: readonly HttpRequestScope[] };

/** What the scopes of all requests have in common, for one database. */
export interface RequestScopeParts {
  readonly engine: AsyncEngine;
  readonly options: RequestScopeOptions;
  readonly sockets: SocketEnds;
}

/** A scope that is open, and what ends it. */
interface OpenedScope {
  readonly scope: Scope;
  readonly response: ResponseEnd;
  readonly lease: Lease;
}

/**
 * `arriving`: in front of its handler. `abandoned`: its client left while it was there. `handled`: its
 * handler has started. `answered`: its handler has ended before the scope was opened. `over`: it keeps the
 * scope open no longer.
 */
type RequestState = 'arriving' | 'abandoned' | 'handled' | 'answered' | 'over';

/**
 * One HTTP request between its arrival and the end of its response. Its scope is opened when the engine is
 * first used in it, and kept open until then.
 */
export class HttpRequestScope {
  readonly #parts: RequestScopeParts;
  readonly #request: NodeRequest;
  readonly #response: ServerResponse;
  #opened: OpenedScope | undefined;
  #state: RequestState = 'arriving';

  constructor(parts: RequestScopeParts, request: NodeRequest, response: ServerResponse) {
    this.#parts = parts;
    this.#request = request;
    this.#response = response;
    const scoped = request as ScopedRequest;
    scoped[SCOPES] = [...(scoped[SCOPES] ?? []), this];
  }

  /** That of `request`, or of what wraps it, in one database. */
  static of(request: unknown, engine: AsyncEngine): HttpRequestScope | undefined {
    if (typeof request !== 'object' || request === null) return undefined;
    const { [SCOPES]: scopes } = nodeRequestOf(request) as ScopedRequest;
    return scopes?.find((scope) => scope.#parts.engine === engine);
  }

  /** Method and path. */
  get origin(): string {
    return routeOf(this.#request);
  }

  /** True: its engine was used in it. */
  get isOpened(): boolean {
    return this.#opened !== undefined;
  }

  /** Runs `work` in the request's scope. */
  run(work: () => void): void {
    this.#parts.engine.ambient.context.runLazily(this, work);
  }

  open(): { readonly scope: Scope } {
    return this.openFor((scope) => ({ scope }));
  }

  /** Lets `keep` take a lease before the end of the response is listened to: it may have come already. */
  openFor<T>(keep: (scope: Scope, response: ResponseEnd) => T): T {
    if (this.#opened !== undefined) return keep(this.#opened.scope, this.#opened.response);
    const { engine, options, sockets } = this.#parts;
    const { connection, consistency } = options;
    const request = this.#request;
    const scope = engine.openScope({
      label: this.origin,
      commit: options.commit,
      connection: connection && (() => connection(request)),
      after: consistency?.read(request),
      owner: this,
    });
    if (consistency !== undefined) this.#tellWrites(scope, consistency);
    const response = new ResponseEnd(request, this.#response, sockets);
    this.#opened = { scope, response, lease: scope.lease() };
    // What comes behind its handler commits itself.
    if (this.#state === 'answered') void scope.complete();
    const kept = keep(scope, response);
    response.onEnd(() => this.#responseClosed());
    return kept;
  }

  /** The client gets a token of what was written, unless it is the one that it has brought. */
  #tellWrites(scope: Scope, consistency: RequestConsistency): void {
    const before = scope.consistencyToken;
    addToHead(this.#response, () => {
      const { consistencyToken: token } = scope;
      return token === before ? undefined : consistency.header(token);
    });
  }

  /** A handler has started, which keeps the scope open by itself. */
  handlerStarted(): void {
    if (this.#state === 'abandoned') this.#release();
    else if (this.#state === 'arriving') this.#state = 'handled';
  }

  /** A handler has ended in which the scope was not opened. */
  handlerEnded(): void {
    if (this.#state === 'handled') this.#state = 'answered';
  }

  /** Cuts an answer of which a part is on its way, so that no client takes the part for the whole. */
  cutAnswer(): void {
    const { response } = this.#opened ?? {};
    if (response?.isStarted === true && !response.isAnswered) this.#response.destroy();
  }

  #responseClosed(): void {
    if (this.#opened === undefined) return;
    const { scope, response } = this.#opened;
    // Guards may still run: the connection that they wait for is not pulled away. No handler takes half a
    // body.
    const isAwaited = this.#state === 'arriving' && !response.isAnswered && !isCutShort(this.#request);
    if (!response.isAnswered) scope.leaveLine();
    if (isAwaited) this.#state = 'abandoned';
    else this.#release();
    const { orphanTimeout = ORPHAN_TIMEOUT } = this.#parts.options;
    if (scope.isOpen) setTimeout(() => this.#endOrphan(scope, orphanTimeout), orphanTimeout).unref();
  }

  #endOrphan(scope: Scope, orphanTimeout: number): void {
    if (this.#state === 'abandoned') return this.#release();
    if (!scope.isOpen) return;
    this.#parts.engine.logger.warn(
      printable(
        `${scope.origin} is still running ${orphanTimeout} ms after its client disconnected. ` +
          `Stop the handler when its request is closed, or give its statements a timeout.`,
      ),
    );
  }

  #release(): void {
    this.#state = 'over';
    this.#opened?.lease.release()?.catch((error: unknown) => reportError(this.#parts.engine.logger, error));
  }
}

/** Node's own request, which Fastify keeps in `raw`. On Express, that name is free for the application's. */
export function nodeRequestOf(request: object): object {
  const { [SCOPES]: scopes, raw } = request as ScopedRequest & { readonly raw?: unknown };
  return scopes === undefined && typeof raw === 'object' && raw !== null ? raw : request;
}

/** True: its client went away in the middle of its body. */
function isCutShort(request: NodeRequest): boolean {
  const { stream } = request as { readonly stream?: ServerHttp2Stream };
  if (stream !== undefined) return !stream.endAfterHeaders && !stream.readableEnded;
  return !request.complete;
}

/** Without the query: it may be secret. */
export function pathOf({ url, originalUrl = url }: NodeRequest): string {
  const path = originalUrl ?? '';
  const end = path.indexOf('?');
  return end === -1 ? path : path.slice(0, end);
}

/** Method and path. */
export function routeOf(request: NodeRequest): string {
  return `${request.method} ${pathOf(request)}`;
}
