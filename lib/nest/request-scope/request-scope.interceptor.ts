import 'reflect-metadata';
import type { Socket } from 'node:net';
import type { CallHandler, ExecutionContext, NestInterceptor, Type } from '@nestjs/common';
import { Observable } from 'rxjs';
import type { AsyncEngine, Scope } from '../../engine/index.js';
import type { GraphqlOperations } from '../graphql/graphql-operations.js';
import type { RequestScopeOptions } from '../shared/database-options.interface.js';
import { NEST_METADATA } from '../shared/nest-metadata.js';
import { HandlerCall, type HandlerCallParts } from './handler-call.js';
import { SocketEnds, type ResponseEnd } from './response-end.js';
import { HandlerExecution, type HandlerKind } from './handler-execution.js';
import { followRuns, unfollowRuns } from './handler-runs.js';
import { HandlerUnit } from './handler-unit.js';
import { HttpRequestScope, nodeRequestOf, ORPHAN_TIMEOUT } from './http-request-scope.js';

/** The context of a message over TCP. */
interface MessageOfSocket {
  getSocketRef(): { readonly netSocket: Socket };
}

/** What the interceptor asks about the application around it. */
interface RequestScopeSettings {
  /** True: an instance of `type` holds the request's connection. */
  isHandedTo(type: Type): boolean;
  /** The units that end with an operation of several handlers. */
  readonly operations: GraphqlOperations;
}

/**
 * Ends the unit of work of a handler: commits after it succeeded and before its value goes on to the
 * response, rolls back when it failed or was abandoned. Opens the scope where no middleware did: messages,
 * events, socket messages.
 */
export class RequestScopeInterceptor implements NestInterceptor {
  // Asked of each request; metadata are read by many steps.
  private readonly eventStreams = new WeakMap<object, boolean>();
  private readonly callParts: HandlerCallParts;
  private readonly sockets = new SocketEnds();

  constructor(
    private readonly engine: AsyncEngine,
    private readonly options: RequestScopeOptions = {},
    private readonly settings: RequestScopeSettings,
  ) {
    const { operations } = settings;
    this.callParts = {
      engine,
      orphanTimeout: options.orphanTimeout ?? ORPHAN_TIMEOUT,
      endsUnit: (scope) => !operations.covers(scope),
    };
  }

  /**
   * The same for a handler of `type` over HTTP that has no interceptors: what `call` gives, or throws, comes
   * when its unit has ended.
   */
  run(type: Type, call: () => unknown): unknown {
    const source = this.sourceOf();
    // Called by something else than the router.
    if (source === undefined) return call();
    const handler = new HandlerCall(this.callParts, source);
    if (this.isUnitFromStart(type)) void handler.open().scope.connection;
    return handler.run(call);
  }

  /** True: a handler of `type` is one unit of work before the connection is used in it. */
  isUnitFromStart(type: Type): boolean {
    return this.settings.isHandedTo(type);
  }

  private sourceOf(): HttpRequestScope | Scope | undefined {
    const frame = this.engine.ambient.context.current;
    if (frame?.opener instanceof HttpRequestScope) return frame.opener;
    const scope = frame?.scope;
    return scope?.owner instanceof HttpRequestScope ? scope.owner : scope;
  }

  /** Each subscription is one run of the handler: one that is tried again has a unit of its own. */
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return new Observable((out) => {
      const around = this.operationScope(context) ?? this.engine.currentScope() ?? this.requestScope(context);
      const scope = around ?? this.openScope(context);
      // Injecting it makes this one unit of work, before its first use.
      if (this.isUnitFromStart(context.getClass())) void scope.connection;
      const { owner } = scope;
      const request = owner instanceof HttpRequestScope ? owner : undefined;
      const unit = this.unitOf(scope, context.getType() === 'http' ? request : undefined);
      const execution = new HandlerExecution(unit, this.kindOf(context, around === undefined), out);
      request?.handlerStarted();
      followRuns(context, execution);
      // Nest binds the async context when handle() is called, not when it is subscribed to.
      execution.follow(() => next.handle());
      const stopListening = this.onClientGone(context, () => execution.abandon());
      return () => {
        stopListening?.();
        unfollowRuns(context, execution);
        execution.abandon();
      };
    });
  }

  private operationScope(context: ExecutionContext): Scope | undefined {
    if (context.getType<string>() !== 'graphql') return undefined;
    return this.settings.operations.of(requestOf(context))?.scope;
  }

  private requestScope(context: ExecutionContext): Scope | undefined {
    if (context.getType() !== 'http') return undefined;
    return HttpRequestScope.of(requestOf(context), this.engine)?.open().scope;
  }

  private openScope(context: ExecutionContext): Scope {
    const type = context.getClass();
    const { commit, connection } = this.options;
    return this.engine.openScope({
      label: `${type.name}.${context.getHandler().name}`,
      commit,
      connection: connection && (() => connection(requestOf(context))),
    });
  }

  private unitOf(scope: Scope, request: HttpRequestScope | undefined): HandlerUnit {
    const make = (_scope: Scope, response?: ResponseEnd): HandlerUnit =>
      new HandlerUnit({
        scope,
        logger: this.engine.logger,
        response,
        endsUnit: () => !this.settings.operations.covers(scope),
      });
    return request === undefined ? make(scope) : request.openFor(make);
  }

  private kindOf(context: ExecutionContext, hasOwnScope: boolean): HandlerKind {
    const isHttp = context.getType() === 'http';
    return {
      values: this.isEventStream(context.getHandler()) ? 'events' : isHttp ? 'last' : 'each',
      orphanTimeout: this.options.orphanTimeout ?? ORPHAN_TIMEOUT,
      hasOwnScope,
    };
  }

  /** Over TCP, Nest does not stop the stream of a client that has gone. An event's client need not stay. */
  private onClientGone(context: ExecutionContext, listener: () => void): (() => void) | undefined {
    if (context.getType() !== 'rpc') return undefined;
    if (Reflect.getMetadata(NEST_METADATA.messageKind, context.getHandler()) !== 1) return undefined;
    const message = context.switchToRpc().getContext<Partial<MessageOfSocket> | undefined>();
    const socket = message?.getSocketRef?.().netSocket;
    return socket && this.sockets.onEnd(socket, listener);
  }

  private isEventStream(handler: object): boolean {
    let isEventStream = this.eventStreams.get(handler);
    if (isEventStream === undefined) {
      isEventStream = Reflect.hasMetadata(NEST_METADATA.eventStream, handler);
      this.eventStreams.set(handler, isEventStream);
    }
    return isEventStream;
  }
}

/** What stands for the request: Node's own, a message's context, a socket, a GraphQL context. */
function requestOf(context: ExecutionContext): unknown {
  switch (context.getType<string>()) {
    case 'http':
      return nodeRequestOf(context.switchToHttp().getRequest<object>());
    case 'rpc':
      return context.switchToRpc().getContext<unknown>();
    case 'ws':
      return context.switchToWs().getClient<unknown>();
    default:
      // root, arguments, context, info
      return context.getArgByIndex<unknown>(2);
  }
}
