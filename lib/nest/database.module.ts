import { Inject, Module } from '@nestjs/common';
import type { DynamicModule, NestModule, Provider } from '@nestjs/common';
import { APP_INTERCEPTOR, HttpAdapterHost } from '@nestjs/core';
import { ArgumentError } from '../engine/index.js';
import type { AsyncEngine } from '../engine/index.js';
import { DatabaseCoreModule } from './database-core.module.js';
import type {
  DatabaseModuleAsyncOptions,
  DatabaseModuleFactoryOptions,
  DatabaseModuleOptions,
  DatabaseOptionsFactory,
} from './shared/database-options.interface.js';
import { ConnectionConsumers } from './request-scope/connection-consumers.js';
import { DATABASE_ASYNC_OPTIONS, DATABASE_OPTIONS } from './shared/module-options.js';
import { connectionProvider, engineProvider, operationsProvider } from './database.providers.js';
import {
  DEFAULT_DATABASE,
  MODULE_ENGINE,
  MODULE_OPTIONS,
  getConnectionToken,
  getEngineToken,
  getOperationsToken,
  getOptionsToken,
  getPluginToken,
} from './shared/database.tokens.js';
import { GraphqlDrivers } from './graphql/graphql-drivers.js';
import { GraphqlOperationPlugin } from './graphql/graphql-operation.plugin.js';
import { GraphqlOperations } from './graphql/graphql-operations.js';
import { RequestScopeInterceptor } from './request-scope/request-scope.interceptor.js';
import { requestScopeMiddleware } from './request-scope/request-scope.middleware.js';

/**
 * Provides an {@link AsyncEngine} and the request-scoped {@link AsyncConnection}; opens the scope of every
 * request.
 */
@Module({})
export class DatabaseModule implements NestModule {
  /** @internal */
  constructor(
    @Inject(MODULE_ENGINE) private readonly engine: AsyncEngine,
    @Inject(MODULE_OPTIONS) private readonly options: DatabaseModuleOptions,
    @Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost,
  ) {}

  /**
   * Connects to `url`, else to DATABASE_URL, else to an `embedded` PostgreSQL.
   *
   * A wrong option, a second module of the same name and a database that stays away fail the start of the
   * application.
   */
  static forRoot(options: DatabaseModuleOptions = {}): DynamicModule {
    const name = nameOf(options);
    // A factory, so that a wrong option fails the start of the application, and not the import of this file.
    const useFactory = (): DatabaseModuleOptions => DATABASE_OPTIONS.parse(options);
    return moduleOf(name, options.isGlobal, [{ provide: getOptionsToken(name), useFactory }]);
  }

  /** The same with options that need other providers. Its name must be given here, outside of the factory. */
  static forRootAsync(options: DatabaseModuleAsyncOptions): DynamicModule {
    DATABASE_ASYNC_OPTIONS.parse(options);
    const name = options.name ?? DEFAULT_DATABASE;
    const providers = [...optionsProviders(name, options), ...(options.extraProviders ?? [])];
    return { ...moduleOf(name, options.isGlobal, providers, options.imports) };
  }

  /** Puts the request scope in front of every route; called by Nest. */
  configure(): void {
    // Not by the consumer, which matches a path and makes promises for each request. It is in front of all
    // that consumers apply.
    this.adapterHost.httpAdapter.use(requestScopeMiddleware(this.engine, this.options.requestScope));
  }
}

function moduleOf(
  name: string,
  isGlobal = true,
  providers: readonly Provider[] = [],
  imports: DatabaseModuleAsyncOptions['imports'] = [],
): DynamicModule {
  return {
    module: DatabaseModule,
    global: isGlobal,
    imports: [DatabaseCoreModule, ...imports],
    providers: [
      ...providers,
      engineProvider(name),
      connectionProvider(name),
      { provide: MODULE_ENGINE, useExisting: getEngineToken(name) },
      { provide: MODULE_OPTIONS, useExisting: getOptionsToken(name) },
      operationsProvider(name),
      {
        provide: getPluginToken(name),
        inject: [getOperationsToken(name), GraphqlDrivers],
        useFactory: (operations: GraphqlOperations, drivers: GraphqlDrivers) =>
          new GraphqlOperationPlugin(operations, drivers),
      },
      {
        provide: APP_INTERCEPTOR,
        inject: [getEngineToken(name), getOptionsToken(name), ConnectionConsumers, getOperationsToken(name)],
        useFactory: (
          engine: AsyncEngine,
          options: DatabaseModuleOptions,
          consumers: ConnectionConsumers,
          operations: GraphqlOperations,
        ) =>
          new RequestScopeInterceptor(engine, options.requestScope, {
            isHandedTo: (type) => consumers.uses(type, getConnectionToken(name)),
            operations,
          }),
      },
    ],
    exports: [getEngineToken(name), getConnectionToken(name)],
  };
}

function optionsProviders(name: string, options: DatabaseModuleAsyncOptions): Provider[] {
  const provide = getOptionsToken(name);
  const { useFactory, useClass, useExisting, inject = [] } = options;
  const given = [useFactory, useClass, useExisting].filter((way) => way !== undefined);
  if (given.length !== 1) {
    throw new ArgumentError(
      `forRootAsync needs exactly one of useFactory, useClass and useExisting; got ${given.length}.`,
    );
  }
  if (useFactory !== undefined) {
    const factory = async (...dependencies: never[]) => checked(name, await useFactory(...dependencies));
    return [{ provide, inject: [...inject], useFactory: factory }];
  }
  const fromFactory = async (factory: DatabaseOptionsFactory) =>
    checked(name, await factory.createDatabaseOptions(name));
  if (useExisting !== undefined) return [{ provide, inject: [useExisting], useFactory: fromFactory }];
  const factoryToken = `${provide}:factory`;
  return [
    { provide: factoryToken, useClass: useClass as NonNullable<typeof useClass> },
    { provide, inject: [factoryToken], useFactory: fromFactory },
  ];
}

/** The only option that is needed before the start. */
function nameOf(options: unknown): string {
  if (typeof options !== 'object' || options === null) DATABASE_OPTIONS.parse(options);
  const { name = DEFAULT_DATABASE } = options as DatabaseModuleOptions;
  return DATABASE_OPTIONS.parseOption('name', name) as string;
}

function checked(name: string, given: unknown): DatabaseModuleFactoryOptions {
  const options = DATABASE_OPTIONS.parse(given);
  if (options.name === undefined || options.name === name) return options;
  throw new ArgumentError(
    `the factory of the database '${name}' gave the name '${options.name}'. Name it in forRootAsync({ name }), where its token is made.`,
  );
}
