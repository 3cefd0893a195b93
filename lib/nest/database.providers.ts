import { Scope as ProviderScope } from '@nestjs/common';
import type { Provider } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { ArgumentError, createAsyncEngine } from '../engine/index.js';
import type {
  AsyncConnection,
  AsyncEngine,
  AsyncEngineOptions,
  DatabaseUrl,
  EngineLogger,
} from '../engine/index.js';
import { ENGINE_OPTIONS } from '../engine/resolve-engine-options.js';
import { describeValue } from '../engine/util/describe-value.js';
import { connectWithRetry } from './connect-with-retry.js';
import { Databases } from './database-core.module.js';
import { GraphqlDrivers } from './graphql/graphql-drivers.js';
import { GraphqlOperations } from './graphql/graphql-operations.js';
import type { DatabaseModuleOptions } from './shared/database-options.interface.js';
import { NestLogger } from './shared/nest-logger.js';
import {
  getConnectionToken,
  getEngineToken,
  getOperationsToken,
  getOptionsToken,
} from './shared/database.tokens.js';

const SCOPE_ADVICE =
  'An injected AsyncConnection is for handlers, and for what is called in a request or in engine.scope(). In guards and ' +
  'filters of messages, connection hooks of gateways, and jobs, inject AsyncEngine.';

/** Where the database is, and what stops it when it is ours. */
interface Location {
  readonly url: string | DatabaseUrl;
  readonly stopServer: () => Promise<void>;
}

/** The singleton engine of a module. */
export function engineProvider(name: string): Provider {
  return {
    provide: getEngineToken(name),
    inject: [getOptionsToken(name), Databases],
    useFactory: (options: DatabaseModuleOptions, databases: Databases) =>
      openDatabase(name, options, databases),
  };
}

/** The GraphQL operations of a module. */
export function operationsProvider(name: string): Provider {
  return {
    provide: getOperationsToken(name),
    inject: [getEngineToken(name), getOptionsToken(name), GraphqlDrivers],
    useFactory: (engine: AsyncEngine, { requestScope }: DatabaseModuleOptions, drivers: GraphqlDrivers) => {
      const operations = new GraphqlOperations(engine, requestScope);
      drivers.add(operations);
      return operations;
    },
  };
}

/** The connection of the present request. Not started: it takes one from the pool at its first statement. */
export function connectionProvider(name: string): Provider {
  return {
    provide: getConnectionToken(name),
    scope: ProviderScope.REQUEST,
    inject: [getEngineToken(name), getOperationsToken(name), { token: REQUEST, optional: true }],
    useFactory: connectionOf,
  };
}

// Nest makes the handler of a message before anything of ours runs, and the gateway of a socket once for all
// messages: there, each use of the connection finds its own scope.
function connectionOf(
  engine: AsyncEngine,
  operations: GraphqlOperations,
  request?: unknown,
): AsyncConnection {
  const scope = operations.of(request)?.scope ?? engine.currentScope();
  return scope?.connection ?? engine.scopedConnection(SCOPE_ADVICE);
}

async function openDatabase(
  name: string,
  options: DatabaseModuleOptions,
  databases: Databases,
): Promise<AsyncEngine> {
  databases.reserve(name);
  const { url, stopServer } = await locate(name, options);
  const engine = await createOrStop(url, options, stopServer);
  try {
    const connecting = connectOnStart(engine, name, options);
    databases.add(name, { engine, shutdownTimeout: options.shutdownTimeout ?? 10_000, stopServer });
    await connecting;
    return engine;
  } catch (error) {
    await engine.aclose();
    await stopServer();
    throw error;
  }
}

async function createOrStop(
  url: string | DatabaseUrl,
  options: DatabaseModuleOptions,
  stopServer: () => Promise<void>,
): Promise<AsyncEngine> {
  try {
    return createAsyncEngine(url, { logger: new NestLogger(), ...engineOptionsOf(options) });
  } catch (error) {
    await stopServer();
    throw error;
  }
}

/** What is left is the engine's. */
function engineOptionsOf(options: DatabaseModuleOptions): AsyncEngineOptions {
  return Object.fromEntries(Object.entries(options).filter(([name]) => ENGINE_OPTIONS.has(name)));
}

async function connectOnStart(
  engine: AsyncEngine,
  name: string,
  options: DatabaseModuleOptions,
): Promise<void> {
  const { connectOnStart: moment = 'eager' } = options;
  switch (moment) {
    case 'eager':
      return await connectWithRetry(engine, name, options);
    case 'background':
      connectWithRetry(engine, name, options).catch((error: unknown) => engine.logger.error(String(error)));
      return;
    case 'lazy':
      return;
    default:
      moment satisfies never;
  }
}

async function locate(name: string, options: DatabaseModuleOptions): Promise<Location> {
  const url = options.url ?? process.env['DATABASE_URL'];
  if (url !== undefined && url !== '') return { url, stopServer: () => Promise.resolve() };
  const { embedded } = options;
  if (embedded === undefined || embedded === false) {
    throw new ArgumentError(
      `the database '${name}' has no URL. Give forRoot({ url }), set DATABASE_URL, or use forRoot({ embedded: true }) in development.`,
    );
  }
  expectDevelopment(name, options.logger ?? new NestLogger());
  // Loaded only here: applications in production need not have the server's package.
  const { startEmbeddedPostgres } = await import('../embedded/embedded-postgres.js');
  const server = await startEmbeddedPostgres(embedded === true ? {} : embedded);
  return { url: server.url, stopServer: () => server.stop() };
}

/** Any other name may be that of production: prod, Production, live, staging. */
function expectDevelopment(name: string, logger: EngineLogger): void {
  const environment = process.env['NODE_ENV'] ?? '';
  if (environment === 'development' || environment === 'test') return;
  if (environment !== '') {
    throw new ArgumentError(
      `the embedded PostgreSQL of the database '${name}' needs NODE_ENV to be development or test; got ${describeValue(environment)}. ` +
        'Set DATABASE_URL to the server of this environment.',
    );
  }
  logger.warn(
    `NODE_ENV is not set: the database '${name}' is an embedded PostgreSQL, which is for development. ` +
      'Set NODE_ENV=development, or DATABASE_URL in production.',
  );
}
