import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor, Type } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import type { Observable } from 'rxjs';
import type { AsyncEngine } from '../../engine/index.js';
import { methodsOf } from '../shared/methods-of.js';
import { NEST_METADATA } from '../shared/nest-metadata.js';
import type { RequestScopeInterceptor } from './request-scope.interceptor.js';

/** Stands among the interceptors of a class with message handlers; without a database, it does nothing. */
class MessageScope implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle();
  }
}

interface Entry {
  readonly engine: AsyncEngine;
  readonly interceptor: RequestScopeInterceptor;
}

/**
 * Runs message handlers in a scope where no global interceptor does: `connectMicroservice()` gives a hybrid
 * application's microservice a configuration of its own, without the interceptors of the application, and
 * NestJS 11 knows none in gateways.
 */
@Injectable()
export class MessageInterceptor implements NestInterceptor {
  readonly #entries: Entry[] = [];

  constructor(modules: ModulesContainer) {
    // Before the application can be connected to a transport: handlers are registered then.
    for (const module of modules.values()) {
      const wrappers = [...module.controllers.values(), ...module.providers.values()];
      const types = wrappers.map(({ metatype }) => metatype);
      const handlers = types.filter((type) => typeof type === 'function' && hasMessageHandler(type as Type));
      if (handlers.length === 0) continue;
      for (const type of handlers) addTo(type as object);
      // The class is one for all applications of the process; what it stands for is this application's.
      module.addInjectable({ provide: MessageScope, useValue: this }, 'interceptor');
    }
  }

  /** What runs handlers in scopes of `engine`. */
  add(engine: AsyncEngine, interceptor: RequestScopeInterceptor): void {
    this.#entries.push({ engine, interceptor });
  }

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (context.getType() === 'http') return next.handle();
    const outermost = this.#entries.reduce<CallHandler>(
      (inner, entry) => ({ handle: () => scoped(entry, context, inner) }),
      next,
    );
    return outermost.handle();
  }
}

/** Where the global interceptor has opened a scope, nothing is left to do. */
function scoped({ engine, interceptor }: Entry, context: ExecutionContext, next: CallHandler) {
  return engine.currentScope() === undefined ? interceptor.intercept(context, next) : next.handle();
}

function addTo(type: object): void {
  const { interceptors } = NEST_METADATA;
  const given = (Reflect.getMetadata(interceptors, type) as unknown[] | undefined) ?? [];
  if (!given.includes(MessageScope)) Reflect.defineMetadata(interceptors, [MessageScope, ...given], type);
}

function hasMessageHandler(type: Type): boolean {
  const { messagePattern, socketMessage } = NEST_METADATA;
  return methodsOf(type).some(
    ([, method]) => Reflect.hasMetadata(messagePattern, method) || Reflect.hasMetadata(socketMessage, method),
  );
}
