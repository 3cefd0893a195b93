import { Scope as ProviderScope, type Provider } from '@nestjs/common';
import { ApplicationConfig, REQUEST } from '@nestjs/core';
import { ArgumentError, type AsyncConnection, type AsyncEngine } from '../engine/index.js';
import { describeValue } from '../engine/util/describe-value.js';
import { Databases } from './databases.js';
import { GraphqlDrivers } from './graphql/graphql-drivers.js';
import { GraphqlOperationPlugin } from './graphql/graphql-operation.plugin.js';
import { GraphqlOperations } from './graphql/graphql-operations.js';
import { openDatabase } from './open-database.js';
import { ConnectionConsumers } from './request-scope/connection-consumers.js';
import { HttpRequestScope } from './request-scope/http-request-scope.js';
import { MessageInterceptor } from './request-scope/message-interceptor.js';
import { RequestScopeInterceptor } from './request-scope/request-scope.interceptor.js';
import {
  MODULE_ENGINE,
  MODULE_SETTINGS,
  getConnectionToken,
  getEngineToken,
  getInterceptorToken,
  getOperationsToken,
  getPluginToken,
  getScopedConnectionToken,
  getSettingsToken,
} from './shared/database.tokens.js';
import { isEngine } from './shared/is-engine.js';
import type { ModuleSettings } from './shared/module-settings.js';

const SCOPE_ADVICE =
  'An injected AsyncConnection is for handlers, and for what is called in a request, a transaction or engine.scope(). In ' +
  'guards and filters of messages, connection hooks of gateways, and jobs, inject AsyncEngine.';

/** What a module provides, whatever its options are. */
export function databaseProviders(name: string): Provider[] {
  return [
    engineProvider(name),
    connectionProvider(name),
    scopedConnectionProvider(name),
    operationsProvider(name),
    pluginProvider(name),
    interceptorProvider(name),
    moduleEngineProvider(name),
    { provide: MODULE_SETTINGS, useExisting: getSettingsToken(name) },
  ];
}

/** The singleton engine of a module. */
function engineProvider(name: string): Provider {
  return {
    provide: getEngineToken(name),
    inject: [getSettingsToken(name), Databases],
    useFactory: ({ options }: ModuleSettings, databases: Databases) =>
      databases.closeOnFailure(() => openDatabase(name, options, databases)),
  };
}

/** The same for what the module makes of it: a test may have put something else in its place. */
function moduleEngineProvider(name: string): Provider {
  return {
    provide: MODULE_ENGINE,
    inject: [getEngineToken(name), Databases],
    useFactory: (engine: AsyncEngine, databases: Databases) =>
      databases.closeOnFailure(() => {
        if (isEngine(engine)) return engine;
        throw new ArgumentError(
          `the engine of the database '${name}' was replaced by ${describeValue(engine)}, which is not an AsyncEngine. ` +
            'In a test, give an engine of createAsyncEngine(), or import DatabaseTestingModule. A test without a database leaves ' +
            'DatabaseModule out, and provides what its classes inject.',
        );
      }),
  };
}

/** The GraphQL operations of a module. */
function operationsProvider(name: string): Provider {
  return {
    provide: getOperationsToken(name),
    inject: [MODULE_ENGINE, getSettingsToken(name), GraphqlDrivers],
    useFactory: (engine: AsyncEngine, { options }: ModuleSettings, drivers: GraphqlDrivers) => {
      const operations = new GraphqlOperations(engine, options.requestScope);
      drivers.add(operations);
      return operations;
    },
  };
}

/** What tells a module of Apollo's operations. */
function pluginProvider(name: string): Provider {
  return {
    provide: getPluginToken(name),
    inject: [getOperationsToken(name), GraphqlDrivers],
    useFactory: (operations: GraphqlOperations, drivers: GraphqlDrivers) =>
      new GraphqlOperationPlugin(operations, drivers),
  };
}

/** The connection of the present request. Not started: it takes one from the pool at its first statement. */
function connectionProvider(name: string): Provider {
  return {
    provide: getConnectionToken(name),
    scope: ProviderScope.REQUEST,
    inject: [getEngineToken(name), getOperationsToken(name), { token: REQUEST, optional: true }],
    useFactory: connectionOf,
  };
}

/** The singleton handle: at each use, it is the connection of the scope around its user. */
function scopedConnectionProvider(name: string): Provider {
  return {
    provide: getScopedConnectionToken(name),
    inject: [MODULE_ENGINE],
    useFactory: (engine: AsyncEngine) => engine.scopedConnection(SCOPE_ADVICE),
  };
}

// Nest makes the handler of a message before anything of ours runs, and the gateway of a socket once for all
// messages: there, each use of the connection finds its own scope.
function connectionOf(
  engine: AsyncEngine,
  operations: GraphqlOperations,
  request?: unknown,
): AsyncConnection {
  const scope =
    operations.of(request)?.scope ??
    engine.currentScope() ??
    HttpRequestScope.of(request, engine)?.open().scope;
  return scope?.connection ?? engine.scopedConnection(SCOPE_ADVICE);
}

/** What runs every handler of the application in its scope, around all interceptors of the application. */
function interceptorProvider(name: string): Provider {
  return {
    provide: getInterceptorToken(name),
    inject: [
      MODULE_ENGINE,
      getSettingsToken(name),
      ConnectionConsumers,
      getOperationsToken(name),
      ApplicationConfig,
      MessageInterceptor,
    ],
    useFactory: (
      engine: AsyncEngine,
      { options }: ModuleSettings,
      consumers: ConnectionConsumers,
      operations: GraphqlOperations,
      config: ApplicationConfig,
      messages: MessageInterceptor,
    ) => {
      const interceptor = new RequestScopeInterceptor(engine, options.requestScope, {
        isHandedTo: (type) =>
          consumers.uses(type, [getConnectionToken(name), getScopedConnectionToken(name)]),
        operations,
      });
      // As an APP_INTERCEPTOR, its place would be that of its module among the imports. In front of all
      // others, a failure of any of them undoes the unit.
      config.getGlobalInterceptors().unshift(interceptor);
      messages.add(engine, interceptor);
      return interceptor;
    },
  };
}
