import 'reflect-metadata';
import type { Type } from '@nestjs/common';
import type { ApplicationConfig } from '@nestjs/core';
import { methodsOf } from '../shared/methods-of.js';
import { metadataList, NEST_METADATA } from '../shared/nest-metadata.js';
import type { Wrapper } from './connection-consumers.js';
import { HANDLER_RUNS } from './handler-runs.js';
import { RequestScopeInterceptor } from './request-scope.interceptor.js';

/** Follows each run of the handlers of messages and sockets: their interceptors are not known yet. */
export function followMessages(wrappers: readonly Wrapper[]): void {
  const { messagePattern, socketMessage } = NEST_METADATA;
  for (const type of classesOf(wrappers)) {
    for (const [, method] of methodsOf(type)) {
      if (Reflect.hasMetadata(messagePattern, method) || Reflect.hasMetadata(socketMessage, method))
        follow(method);
    }
  }
}

/** Follows each run of the routes that have another interceptor; a route without one pays nothing. */
export function followRoutes(wrappers: readonly Wrapper[], config: ApplicationConfig): void {
  const isEach = hasOtherInterceptors(config);
  for (const type of classesOf(wrappers)) {
    for (const [, method] of methodsOf(type)) {
      if (!Reflect.hasMetadata(NEST_METADATA.route, method)) continue;
      if (isEach || hasInterceptors(type) || hasInterceptors(method)) follow(method);
    }
  }
}

/** True: each handler of the application has interceptors besides ours. */
export function hasOtherInterceptors(config: ApplicationConfig): boolean {
  return (
    config.getGlobalRequestInterceptors().length > 0 ||
    config.getGlobalInterceptors().some((interceptor) => !(interceptor instanceof RequestScopeInterceptor))
  );
}

function classesOf(wrappers: readonly Wrapper[]): Set<Type> {
  return new Set(
    wrappers.map(({ metatype }) => metatype).filter((type) => typeof type === 'function') as Type[],
  );
}

/** The interceptors of a class or a method of the application's own. */
export function ownInterceptorsOf(target: object): unknown[] {
  const all = metadataList(NEST_METADATA.interceptors, target);
  return all.filter((interceptor) => interceptor !== HANDLER_RUNS);
}

/** Innermost: Nest runs the interceptors of a method behind those of its class. */
function follow(method: object): void {
  Reflect.defineMetadata(NEST_METADATA.interceptors, [...ownInterceptorsOf(method), HANDLER_RUNS], method);
}

function hasInterceptors(target: object): boolean {
  return metadataList(NEST_METADATA.interceptors, target).length > 0;
}
