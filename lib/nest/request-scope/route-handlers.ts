import 'reflect-metadata';
import type { Type } from '@nestjs/common';
import type { ApplicationConfig } from '@nestjs/core';
import { copyMethodMetadata, type Method } from '../shared/method-metadata.js';
import { methodsOf } from '../shared/methods-of.js';
import { metadataList, NEST_METADATA } from '../shared/nest-metadata.js';
import type { Wrapper } from './connection-consumers.js';
import { hasOtherInterceptors, ownInterceptorsOf } from './followed-handlers.js';
import { RequestScopeInterceptor } from './request-scope.interceptor.js';

/** A method with a route on a controller that is made once. */
interface Route {
  readonly type: Type;
  readonly instance: object;
  readonly name: string;
  readonly method: Method;
}

/** What the routes are seen through. */
interface RouteRules {
  /** Called in front of all routes, and behind all middleware. */
  beforeFirst(): void;
  /** A class of exception filters that write nothing. */
  readonly harmlessFilter: Type;
  /** True: a pipe, given as its class or an instance, may run statements of an engine. */
  reachesEngine(pipe: object): boolean;
}

/**
 * Takes the interceptor of the request scope from the routes that have no other one: Nest's way through any
 * interceptor costs a request more than all else of this package. Their handlers are run as units of work by
 * themselves.
 *
 * Nest's router reads each handler from its controller once, when it registers all routes in one go. What it
 * reads there is a handler of ours, and while it registers it, the global interceptor is away. For
 * everything else, and should the router work in another way, all stays as it is.
 */
export class RouteHandlers {
  readonly #config: ApplicationConfig;
  readonly #interceptors: readonly RequestScopeInterceptor[];
  readonly #rules: RouteRules;
  #state: 'waiting' | 'registering' = 'waiting';
  readonly #restores: (() => void)[] = [];

  constructor(config: ApplicationConfig, rules: RouteRules) {
    this.#config = config;
    this.#interceptors = config
      .getGlobalInterceptors()
      .filter((interceptor) => interceptor instanceof RequestScopeInterceptor);
    this.#rules = rules;
  }

  /** Behind main.ts and before the routes are registered: all interceptors are known. */
  install(controllers: readonly Wrapper[]): void {
    if (this.#interceptors.length === 0 || hasOtherInterceptors(this.#config)) return;
    const routes = controllers.flatMap((wrapper) => staticRoutesOf(wrapper));
    // With a frozen controller, all keep their handlers: nothing tells when that one is registered.
    if (!routes.every(({ instance }) => Object.isExtensible(instance))) return;
    for (const route of routes) this.#replace(route);
  }

  #replace(route: Route): void {
    const { instance, name, method } = route;
    const before = Object.getOwnPropertyDescriptor(instance, name);
    const handler = this.#handlerFor(route);
    const get = (): Method => {
      this.#startRegistering();
      this.#setGlobal(handler === method);
      return handler;
    };
    Object.defineProperty(instance, name, { get, configurable: true });
    this.#restores.push(() => {
      if (before === undefined) Reflect.deleteProperty(instance, name);
      else Object.defineProperty(instance, name, before);
    });
  }

  /** The method itself where its class has interceptors: they would be around what stands on the method. */
  #handlerFor(route: Route): Method {
    const { type, method } = route;
    const interceptors = this.#interceptors;
    if (ownInterceptorsOf(type).length > 0) return method;
    const own = ownInterceptorsOf(method);
    const needsInterceptor = this.#mayWriteBehindPipes(route) || this.#mayWriteInPipes(route);
    const isPlain = own.length === 0 && !isEventStream(method) && !needsInterceptor;
    const call: Method = function (this: object, ...args) {
      return method.apply(this, args);
    };
    const unit: Method = function (this: object, ...args) {
      const run = interceptors.reduceRight<() => unknown>(
        (inner, interceptor) => () => interceptor.run(type, inner),
        () => method.apply(this, args),
      );
      return run();
    };
    const handler = copyMethodMetadata(isPlain ? unit : call, method);
    const around = isPlain ? [] : [...interceptors, ...metadataList(NEST_METADATA.interceptors, method)];
    Reflect.defineMetadata(NEST_METADATA.interceptors, around, handler);
    return handler;
  }

  /**
   * True: a pipe may fail, and an exception filter may write then. Only an interceptor rolls back in between.
   */
  #mayWriteBehindPipes({ type, method, name }: Route): boolean {
    if (parametersOf({ type, name }).length === 0) return false;
    const filters = [
      ...this.#config.getGlobalFilters(),
      ...this.#config.getGlobalRequestFilters(),
      ...[type, method].flatMap((target) => metadataList(NEST_METADATA.exceptionFilters, target)),
    ];
    const { harmlessFilter } = this.#rules;
    return filters.some((filter) => filter !== harmlessFilter && !(filter instanceof harmlessFilter));
  }

  /** True: a pipe may write what is a part of the handler's unit. Only an interceptor begins it before. */
  #mayWriteInPipes({ type, method, name }: Route): boolean {
    if (!this.#interceptors.some((interceptor) => interceptor.isUnitFromStart(type))) return false;
    const parameters = parametersOf({ type, name });
    if (parameters.length === 0) return false;
    const pipes = [
      ...this.#config.getGlobalPipes(),
      ...this.#config.getGlobalRequestPipes().map(({ metatype }) => metatype),
      ...[type, method].flatMap((target) => metadataList(NEST_METADATA.pipes, target)),
      ...parameters.flatMap((parameter) => parameter.pipes ?? []),
    ];
    return pipes.some((pipe) => this.#rules.reachesEngine(pipe as object));
  }

  #startRegistering(): void {
    if (this.#state === 'registering') return;
    this.#state = 'registering';
    this.#rules.beforeFirst();
    // The router does not pause before all routes are registered.
    queueMicrotask(() => {
      this.#setGlobal(true);
      for (const restore of this.#restores.splice(0)) restore();
    });
  }

  #setGlobal(isGlobal: boolean): void {
    const global = this.#config.getGlobalInterceptors();
    const others = global.filter((interceptor) => !(interceptor instanceof RequestScopeInterceptor));
    global.splice(0, global.length, ...(isGlobal ? this.#interceptors : []), ...others);
  }
}

function staticRoutesOf(wrapper: Wrapper): Route[] {
  const instance: unknown = wrapper.instance;
  if (typeof instance !== 'object' || instance === null || !wrapper.isDependencyTreeStatic()) return [];
  const prototype = Object.getPrototypeOf(instance) as object;
  const type = instance.constructor as Type;
  return methodsOf({ prototype })
    .filter(([name, method]) => Reflect.get(prototype, name) === method)
    .filter(([, method]) => Reflect.hasMetadata(NEST_METADATA.route, method))
    .map(([name]) => ({ type, instance, name, method: Reflect.get(instance, name) as Method }));
}

function isEventStream(method: object): boolean {
  return Reflect.hasMetadata(NEST_METADATA.eventStream, method);
}

function parametersOf({ type, name }: Pick<Route, 'type' | 'name'>): { readonly pipes?: object[] }[] {
  return Object.values(
    (Reflect.getMetadata(NEST_METADATA.routeParameters, type, name) as object | undefined) ?? {},
  );
}
