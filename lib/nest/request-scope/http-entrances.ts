import type { ServerResponse } from 'node:http';
import { Injectable, type Type } from '@nestjs/common';
import { HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import type { AsyncEngine } from '../../engine/index.js';
import type { RequestScopeOptions } from '../shared/database-options.interface.js';
import { HttpRequestScope, type NodeRequest, type RequestScopeParts } from './http-request-scope.js';
import { SocketEnds } from './response-end.js';

type NextFunction = (error?: unknown) => void;

/** What middleware gets on either adapter: Node's own request and response. */
type Entrance = (request: NodeRequest, response: ServerResponse, next: NextFunction) => void;

/** Fastify, as far as it is needed. */
interface FastifyInstance {
  addHook(
    name: 'onRequest' | 'preValidation',
    hook: (request: { raw: NodeRequest }, reply: { raw: ServerResponse }, done: NextFunction) => void,
  ): void;
}

/**
 * Where HTTP requests come in: gives each one a scope in every database, in front of guards and of all
 * middleware that modules apply. A scope is opened by the first use of its engine, not here.
 */
@Injectable()
export class HttpEntrances {
  private enter: Entrance = (_request, _response, next) => next();

  constructor(
    private readonly host: HttpAdapterHost,
    private readonly modules: ModulesContainer,
  ) {
    // As early as possible: Fastify runs its hooks in the order in which they were added.
    host.init$.subscribe(() => this.addHooks());
  }

  /** Requests get a scope in `engine`, too. */
  add(engine: AsyncEngine, options: RequestScopeOptions = {}): void {
    const outer = this.enter;
    const inner = entranceOf({ engine, options, sockets: new SocketEnds() });
    this.enter = (request, response, next) => outer(request, response, () => inner(request, response, next));
  }

  /** True: a request is in its scope when a route begins, whatever middleware did to the async context. */
  get reachRoutes(): boolean {
    return this.isFastify || this.isExpress;
  }

  /** Behind main.ts and in front of what consumers apply; `caller` is the module that calls it. */
  openBeforeMiddleware(caller: Type): void {
    if (!this.host.httpAdapter) return;
    // Fastify's middleware runs before hooks, and costs a request more than they do.
    if (!this.isFastify || this.hasMiddleware(caller)) this.openByMiddleware();
  }

  /** Behind all middleware: some of it calls what follows in an async context of its own. */
  openBeforeRoutes(): void {
    if (this.isExpress) this.openByMiddleware();
  }

  private openByMiddleware(): void {
    this.host.httpAdapter.use((request: NodeRequest, response: ServerResponse, next: NextFunction) =>
      this.enter(request, response, next),
    );
  }

  private addHooks(): void {
    if (!this.isFastify) return;
    const fastify = this.host.httpAdapter.getInstance<FastifyInstance>();
    fastify.addHook('onRequest', (request, reply, done) => this.enter(request.raw, reply.raw, done));
    // A body that comes later is read in the async context of its socket.
    fastify.addHook('preValidation', (request, reply, done) => this.enter(request.raw, reply.raw, done));
  }

  private hasMiddleware(caller: Type): boolean {
    const types = [...this.modules.values()].map(({ metatype }) => metatype);
    return types.some((type) => type !== caller && 'configure' in (type.prototype as object));
  }

  private get isFastify(): boolean {
    return this.host.httpAdapter?.getType() === 'fastify';
  }

  private get isExpress(): boolean {
    return this.host.httpAdapter?.getType() === 'express';
  }
}

/** Runs what follows in the scope of its request: a new one, or that which it has lost since it was made. */
function entranceOf(parts: RequestScopeParts): Entrance {
  const { engine } = parts;
  return (request, response, next) => {
    const known = HttpRequestScope.of(request, engine);
    if (known === undefined) new HttpRequestScope(parts, request, response).run(next);
    else if (engine.ambient.context.isInside(known)) next();
    else known.run(next);
  };
}
