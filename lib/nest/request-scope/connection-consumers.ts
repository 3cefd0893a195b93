import { types } from 'node:util';
import { Injectable, type InjectionToken, type Type } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { isConnectionToken, isEngineToken, isScopedConnectionToken } from '../shared/database.tokens.js';
import { isEngine } from '../shared/is-engine.js';
import { metadataList, NEST_METADATA } from '../shared/nest-metadata.js';

type ModuleOf<Container> = Container extends Map<string, infer Module> ? Module : never;
/** What Nest knows about one provider or controller. */
export type Wrapper = ReturnType<ModuleOf<ModulesContainer>['getProviderByKey']>;

/** A provider that ends in a request's connection, and the way there, its own name first. */
interface ConnectionPath {
  readonly token: InjectionToken;
  readonly names: readonly string[];
}

/** Which classes are given a request's connection, themselves or through what they inject. */
@Injectable()
export class ConnectionConsumers {
  readonly #tokens = new WeakMap<object, ReadonlySet<InjectionToken>>();

  constructor(private readonly modules: ModulesContainer) {}

  /** All providers, controllers and enhancers of the application. */
  wrappers(): Wrapper[] {
    return [...this.modules.values()].flatMap((module) => [
      ...module.providers.values(),
      ...module.controllers.values(),
      ...module.injectables.values(),
    ]);
  }

  /** All controllers of the application. */
  controllers(): Wrapper[] {
    return [...this.modules.values()].flatMap((module) => [...module.controllers.values()]);
  }

  /** True: an instance of `type` holds one of the connections `wanted`, itself or through what it injects. */
  uses(type: Type, wanted: readonly InjectionToken[]): boolean {
    let tokens = this.#tokens.get(type);
    if (tokens === undefined) {
      const own = this.wrappers().filter(({ metatype }) => metatype === type);
      tokens = new Set(
        own.flatMap((wrapper) => this.pathsOf(wrapper, isAnyConnection)).map((path) => path.token),
      );
      this.#tokens.set(type, tokens);
    }
    return wanted.some((token) => tokens.has(token));
  }

  /** True: an enhancer, given as its class or an instance, may run statements of an engine. */
  reachesEngine(enhancer: object): boolean {
    if (typeof enhancer === 'function') return this.#typeReachesEngine(enhancer);
    if (this.#typeReachesEngine(enhancer.constructor)) return true;
    // Made by the application with `new`.
    return Object.values(enhancer).some(
      (held: unknown) =>
        typeof held === 'object' &&
        held !== null &&
        !types.isProxy(held) &&
        (isEngine(held) || this.#typeReachesEngine(held.constructor)),
    );
  }

  #typeReachesEngine(type: unknown): boolean {
    return this.wrappers().some(
      (wrapper) => wrapper.metatype === type && this.pathsOf(wrapper, isEngineToken).length > 0,
    );
  }

  /** One way from a provider to each connection that it reaches; by default, those made for each request. */
  pathsOf(wrapper: Wrapper, isEnd = isConnectionToken, visited = new Set<Wrapper>()): ConnectionPath[] {
    const name = String(wrapper.name);
    if (isEnd(wrapper.token)) return [{ token: wrapper.token, names: [name] }];
    if (visited.has(wrapper)) return [];
    visited.add(wrapper);
    return this.#dependenciesOf(wrapper).flatMap((dependency) =>
      this.pathsOf(dependency, isEnd, visited).map((path) => ({ ...path, names: [name, ...path.names] })),
    );
  }

  #dependenciesOf(wrapper: Wrapper): Wrapper[] {
    const constructed = wrapper.getCtorMetadata() as Wrapper[] | undefined;
    const properties = wrapper.getPropertiesMetadata() as { readonly wrapper: Wrapper }[] | undefined;
    const known = [...(constructed ?? []), ...(properties ?? []).map((property) => property.wrapper)];
    const injected = known.length === 0 ? this.#declared(wrapper) : known;
    return [...injected, ...(wrapper.getEnhancersMetadata() ?? [])].filter(
      (dependency) => dependency !== undefined,
    ) as Wrapper[];
  }

  /** What a class says that it injects: NestJS 11 finds that for a request-scoped one when it makes one. */
  #declared({ metatype, inject }: Wrapper): Wrapper[] {
    if (typeof metatype !== 'function' || Array.isArray(inject)) return [];
    const types = metadataList(NEST_METADATA.parameterTypes, metatype);
    const named = metadataList(NEST_METADATA.injectedParameters, metatype) as {
      index: number;
      param: unknown;
    }[];
    const parameters = types.map((type, index) => named.find((one) => one.index === index)?.param ?? type);
    const properties = metadataList(NEST_METADATA.injectedProperties, metatype) as { type: unknown }[];
    const tokens = new Set([...parameters, ...properties.map(({ type }) => type)]);
    return tokens.size === 0 ? [] : this.wrappers().filter(({ token }) => tokens.has(token));
  }
}

function isAnyConnection(token: InjectionToken): boolean {
  return isConnectionToken(token) || isScopedConnectionToken(token);
}
