import { Injectable, type OnApplicationBootstrap, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import { GRAPHQL_MODULE_OPTIONS } from '../shared/nest-metadata.js';
import { correct, hasErrors, hasOperation, hideStatements, sendable } from './graphql-answer.js';
import type { GraphqlDocument, OperationResult } from './graphql-answer.js';
import type { GraphqlOperations } from './graphql-operations.js';
import { isYogaDriver, yogaPlugin } from './yoga-plugin.js';

type FormatError = (formatted: object, error: unknown) => unknown;

/** What is executed, as graphql-ws tells of it. */
interface Execution {
  readonly document: GraphqlDocument;
  readonly contextValue?: unknown;
}

/** The options of graphql-ws. */
interface SocketOptions {
  readonly context?: unknown;
  onOperation?(...facts: readonly unknown[]): unknown;
}

/** The options of a GraphQL module, as far as they matter here. */
interface GraphqlOptions {
  readonly driver?: unknown;
  readonly plugins?: readonly unknown[];
  readonly formatError?: FormatError;
  readonly installSubscriptionHandlers?: boolean;
  readonly subscriptions?: { readonly 'graphql-ws'?: true | SocketOptions };
}

/** Nest's GraphQL module: it reads its options when it is initialized, and completes them. */
interface GraphqlModule {
  options: GraphqlOptions;
  readonly completeOptions?: { readonly schema?: object; readonly context?: unknown };
}

/** What Mercurius adds to Fastify. */
interface MercuriusHost {
  readonly graphql?: { addHook?(name: string, hook: (...facts: never[]) => Promise<void>): void };
}

interface MercuriusContext {
  /** Of the batch. */
  readonly operationsCount?: number;
}

/**
 * The GraphQL modules of the application: makes what they execute over sockets, and what Mercurius and Yoga
 * execute, operations with an end. Apollo finds its plugin by itself.
 */
@Injectable()
export class GraphqlDrivers implements OnModuleInit, OnApplicationBootstrap {
  readonly #operations: GraphqlOperations[] = [];

  constructor(
    private readonly modules: ModulesContainer,
    private readonly adapterHost: HttpAdapterHost,
  ) {}

  /** The operations of one database. */
  add(operations: GraphqlOperations): void {
    this.#operations.push(operations);
  }

  /** How the application formats the errors of `schema`; undefined where it does not. */
  formatErrorOf(schema: object): FormatError | undefined {
    const modules = this.#graphqlModules();
    const owner = modules.find(({ completeOptions }) => completeOptions?.schema === schema) ?? modules[0];
    return owner?.options.formatError;
  }

  /** Before the GraphQL modules read their options: Nest initializes global modules first. */
  onModuleInit(): void {
    for (const module of this.#graphqlModules()) {
      const { driver, plugins = [], subscriptions, installSubscriptionHandlers } = module.options;
      if (isYogaDriver(driver)) {
        module.options = { ...module.options, plugins: [...plugins, yogaPlugin(this.#operations)] };
      }
      if (subscriptions === undefined && installSubscriptionHandlers !== true) continue;
      const given = subscriptions?.['graphql-ws'];
      const socket = this.#withUnits(module, typeof given === 'object' ? given : {});
      // On a copy: the object that the application gave may configure another one, too.
      module.options = { ...module.options, subscriptions: { ...subscriptions, 'graphql-ws': socket } };
    }
  }

  onApplicationBootstrap(): void {
    const host = this.adapterHost.httpAdapter?.getInstance?.() as MercuriusHost | undefined;
    if (typeof host?.graphql?.addHook !== 'function') return;
    for (const operations of this.#operations) addMercuriusHooks(host, operations);
  }

  /** Each operation over a socket begins with its context and ends with its result. */
  #withUnits(module: GraphqlModule, socket: SocketOptions): SocketOptions {
    const context = async (...facts: readonly unknown[]): Promise<unknown> => {
      const make = socket.context ?? module.completeOptions?.context;
      const made: unknown = typeof make === 'function' ? await make(...facts) : make;
      const { document } = facts[3] as Execution;
      if (hasOperation(document, 'subscription')) return made;
      const own = copyOf(made);
      for (const operations of this.#operations) operations.begin(own);
      return own;
    };
    const onOperation = async (...facts: readonly unknown[]): Promise<unknown> => {
      const { contextValue, document } = facts[3] as Execution;
      const result = facts[4] as OperationResult;
      hideStatements(result.errors);
      for (const operations of this.#operations) {
        const outcome = await operations.of(contextValue)?.end(hasErrors(result));
        if (outcome !== undefined) correct(result, outcome, hasOperation(document, 'mutation'), sendable);
      }
      return (await socket.onOperation?.(...facts)) ?? result;
    };
    return { ...socket, context, onOperation };
  }

  #graphqlModules(): GraphqlModule[] {
    const found = [...this.modules.values()].filter(({ providers }) => providers.has(GRAPHQL_MODULE_OPTIONS));
    return found.map(({ instance }) => instance as unknown as GraphqlModule);
  }
}

/** As Apollo makes one for each operation over HTTP: an application may give all of a socket the same. */
function copyOf(context: unknown): object {
  if (typeof context !== 'object' || context === null) return {};
  return Object.assign(Object.create(Object.getPrototypeOf(context) as object | null) as object, context);
}

/**
 * The COMMIT comes before the answer; its failure is thrown, so that the application's errorFormatter sees
 * it.
 */
function addMercuriusHooks({ graphql }: MercuriusHost, operations: GraphqlOperations): void {
  const mutations = new WeakSet<MercuriusContext>();
  const begin = async (_schema: object, document: GraphqlDocument, context: MercuriusContext) => {
    operations.begin(context);
    if (hasOperation(document, 'mutation')) mutations.add(context);
  };
  const end = async (result: OperationResult, context: MercuriusContext) => {
    const isBatched = (context.operationsCount ?? 1) > 1;
    const outcome = await operations.of(context)?.end(hasErrors(result), isBatched);
    if (outcome !== undefined) correct(result, outcome, mutations.has(context), rethrow);
  };
  graphql?.addHook?.('preExecution', begin);
  graphql?.addHook?.('onResolution', end);
}

function rethrow(error: unknown): never {
  throw error;
}
