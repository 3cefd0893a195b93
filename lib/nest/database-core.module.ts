import { Global, Module } from '@nestjs/common';
import type {
  BeforeApplicationShutdown,
  NestModule,
  OnApplicationShutdown,
  OnModuleInit,
} from '@nestjs/common';
import { ApplicationConfig } from '@nestjs/core';
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

/**
 * Closes what the DatabaseModules opened. Always global, because Nest shuts global modules down last: queue
 * workers and the like still have their database while they end.
 */
@Global()
@Module({
  providers: [Databases, ConnectionConsumers, GraphqlDrivers, HttpEntrances, MessageInterceptor],
  exports: [Databases, ConnectionConsumers, GraphqlDrivers, HttpEntrances, MessageInterceptor],
})
export class DatabaseCoreModule
  implements NestModule, OnModuleInit, BeforeApplicationShutdown, OnApplicationShutdown
{
  constructor(
    private readonly databases: Databases,
    private readonly consumers: ConnectionConsumers,
    private readonly config: ApplicationConfig,
    private readonly entrances: HttpEntrances,
  ) {
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

  /** Before the HTTP server waits for its handlers. */
  beforeApplicationShutdown(): void {
    this.databases.startShutdown();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.databases.close();
  }
}
