import { Global, Module, type NestModule, type OnModuleInit } from '@nestjs/common';
import { ApplicationConfig, ModulesContainer } from '@nestjs/core';
import { DatabaseShutdown } from './database-shutdown.js';
import { Databases } from './databases.js';
import { DatabaseExceptionFilter } from './http/database-exception.filter.js';
import { GraphqlDrivers } from './graphql/graphql-drivers.js';
import { connectOutsideScopes } from './request-scope/client-proxies.js';
import { ConnectionConsumers } from './request-scope/connection-consumers.js';
import { followMessages, followRoutes } from './request-scope/followed-handlers.js';
import { HttpEntrances } from './request-scope/http-entrances.js';
import { MessageInterceptor } from './request-scope/message-interceptor.js';
import { RouteHandlers } from './request-scope/route-handlers.js';
import { refuseMisplacedConnections, refuseScopedOptions } from './request-scope/connection-guards.js';

/** What all DatabaseModules of an application share. */
@Global()
@Module({
  providers: [Databases, ConnectionConsumers, GraphqlDrivers, HttpEntrances, MessageInterceptor],
  exports: [Databases, ConnectionConsumers, GraphqlDrivers, HttpEntrances, MessageInterceptor],
})
export class DatabaseCoreModule implements NestModule, OnModuleInit {
  constructor(
    private readonly databases: Databases,
    private readonly consumers: ConnectionConsumers,
    private readonly config: ApplicationConfig,
    private readonly entrances: HttpEntrances,
    modules: ModulesContainer,
  ) {
    new DatabaseShutdown(databases).addTo(modules);
    // Before an application can be connected to a transport, which registers its handlers.
    followMessages(consumers.wrappers());
  }

  /** Behind main.ts and before the routes are registered: all interceptors are known. */
  configure(): void {
    const { consumers, config, entrances } = this;
    followRoutes(consumers.wrappers(), config);
    entrances.openBeforeMiddleware(DatabaseCoreModule);
    if (!entrances.reachRoutes) return;
    const beforeFirst = (): void => entrances.openBeforeRoutes();
    const harmlessFilter = DatabaseExceptionFilter;
    const reachesEngine = (pipe: object): boolean => consumers.reachesEngine(pipe);
    new RouteHandlers(config, { beforeFirst, harmlessFilter, reachesEngine }).install(
      consumers.controllers(),
    );
  }

  async onModuleInit(): Promise<void> {
    await this.databases.closeOnFailure(() => {
      refuseScopedOptions(this.consumers);
      refuseMisplacedConnections(this.consumers);
      connectOutsideScopes(this.consumers.wrappers());
    });
  }
}
