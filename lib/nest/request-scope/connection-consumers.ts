import { Injectable } from '@nestjs/common';
import type { InjectionToken, Type } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { isConnectionToken } from '../shared/database.tokens.js';

type ModuleOf<Container> = Container extends Map<string, infer Module> ? Module : never;
/** What Nest knows about one provider or controller. */
export type Wrapper = ReturnType<ModuleOf<ModulesContainer>['getProviderByKey']>;

/** A provider that ends in a request's connection, and the way there, its own name first. */
export interface ConnectionPath {
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
    ]) as Wrapper[];
  }

  /** True: an instance of `type` holds the connection of `token`, itself or through what it injects. */
  uses(type: Type, token: InjectionToken): boolean {
    let tokens = this.#tokens.get(type);
    if (tokens === undefined) {
      const own = this.wrappers().filter(({ metatype }) => metatype === type);
      tokens = new Set(own.flatMap((wrapper) => this.pathsOf(wrapper)).map((path) => path.token));
      this.#tokens.set(type, tokens);
    }
    return tokens.has(token);
  }

  /** One way from a provider to each connection that it reaches. */
  pathsOf(wrapper: Wrapper, visited = new Set<Wrapper>()): ConnectionPath[] {
    const name = String(wrapper.name);
    if (isConnectionToken(wrapper.token)) return [{ token: wrapper.token, names: [name] }];
    if (visited.has(wrapper)) return [];
    visited.add(wrapper);
    return dependenciesOf(wrapper).flatMap((dependency) =>
      this.pathsOf(dependency, visited).map((path) => ({ ...path, names: [name, ...path.names] })),
    );
  }
}

function dependenciesOf(wrapper: Wrapper): Wrapper[] {
  const properties = wrapper.getPropertiesMetadata() ?? [];
  return [
    ...(wrapper.getCtorMetadata() ?? []),
    ...properties.map((property) => property.wrapper),
    ...(wrapper.getEnhancersMetadata() ?? []),
  ].filter((dependency) => dependency !== undefined) as Wrapper[];
}
