import type { ServerResponse } from 'node:http';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { Observable } from 'rxjs';
import type { AsyncEngine, Scope } from '../engine/index.js';
import type { RequestScopeOptions } from './database-options.interface.js';
import { HandlerRun } from './handler-run.js';

const SSE_METADATA = '__sse__';

/**
 * Ends the unit of work of a handler: commits after it succeeded and before its value goes on to the response, rolls
 * back when it failed or was abandoned. Opens the scope where no middleware did: messages, events, socket messages.
 */
export class RequestScopeInterceptor implements NestInterceptor {
  constructor(
    private readonly engine: AsyncEngine,
    private readonly options: RequestScopeOptions = {},
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const scope = this.engine.currentScope() ?? this.openScope(context);
    const run = new HandlerRun(scope, this.engine.logger, {
      response: context.getType() === 'http' ? rawResponseOf(context) : undefined,
      isEventStream: Reflect.hasMetadata(SSE_METADATA, context.getHandler()),
    });
    // Nest binds the async context when handle() is called, not when it is subscribed to.
    const source = scope.run(() => next.handle());
    return new Observable((out) => {
      run.follow(source, out);
      return () => run.abandon();
    });
  }

  private openScope(context: ExecutionContext): Scope {
    const label = `${context.getClass().name}.${context.getHandler().name}`;
    return this.engine.openScope({ label, commit: this.options.commit });
  }
}

// Fastify's reply has the response of Node below `raw`.
function rawResponseOf(context: ExecutionContext): ServerResponse {
  const response = context.switchToHttp().getResponse<ServerResponse & { raw?: ServerResponse }>();
  return response.raw ?? response;
}
