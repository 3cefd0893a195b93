import type {
  InjectionToken,
  ModuleMetadata,
  OptionalFactoryDependency,
  Provider,
  Type,
} from '@nestjs/common';
import type { AsyncEngineOptions, DatabaseUrl, ExecutionOptions, ScopeCommit } from '../../engine/index.js';
import type { EmbeddedPostgresOptions } from '../../embedded/embedded-options.js';
import type { MigrationOptions } from '../../migrations/migration-options.js';

/** How a client's next request knows what it has written; see `cookieConsistency()`. */
export interface RequestConsistency {
  /** The token that a request brings; undefined: none. */
  read(request: unknown): string | undefined;
  /** The header of the answer that takes a token to the client. */
  header(token: string): readonly [name: string, value: string];
}

/** How a request uses its {@link AsyncConnection}. Times in ms. */
export interface RequestScopeOptions {
  /**
   * `onSuccess` (default): a request that injects its connection is one transaction, committed before the
   * response is written. `explicit`: the handler commits.
   */
  readonly commit?: ScopeCommit | undefined;
  /**
   * A handler that runs on so long after its client has gone is reported once. One of a message on a socket
   * is undone then, and so is one over HTTP that has given a value but does not end. Default 30,000.
   */
  readonly orphanTimeout?: number | undefined;
  /**
   * Options for the connection of this request: `settings` for row-level security, `readOnly`,
   * `isolationLevel`. Asked once, by the first statement, so that guards have run; a promise is awaited, and
   * the engine's statements in it are outside of the request's transaction. `request` is Node's over
   * HTTP, the context of a message or of a GraphQL operation on a socket, the socket of a WebSocket message.
   */
  readonly connection?: ((request: unknown) => ExecutionOptions | PromiseLike<ExecutionOptions>) | undefined;
  /** Lets a client see on replicas what its requests before have written. Over HTTP. Default: it may not. */
  readonly consistency?: RequestConsistency | undefined;
}

/** Options of one `DatabaseModule`; those of `createAsyncEngine` included. Times in ms. */
export interface DatabaseModuleOptions extends AsyncEngineOptions {
  /** Default: the environment's DATABASE_URL. */
  readonly url?: string | DatabaseUrl | undefined;
  /** Needed for a second database in one application. */
  readonly name?: string | undefined;
  /** Default true: every module sees the engine without importing this one. */
  readonly isGlobal?: boolean | undefined;
  /** Starts a real PostgreSQL 18 beside the application when there is no URL. Refused in production. */
  readonly embedded?: boolean | EmbeddedPostgresOptions | undefined;
  /**
   * `eager` (default) connects before the application starts, `background` beside it, `lazy` at the first
   * statement.
   */
  readonly connectOnStart?: 'eager' | 'lazy' | 'background' | undefined;
  /**
   * Runs the migrations of a folder before anything of the application starts, as `runMigrations()` does.
   * Needs the package node-pg-migrate, and `connectOnStart: 'eager'`.
   */
  readonly migrations?: Omit<MigrationOptions, 'signal'> | undefined;
  /** Further attempts to connect at the start. Default 9. */
  readonly retryAttempts?: number | undefined;
  /** Between two attempts. Default 3,000. */
  readonly retryDelay?: number | undefined;
  /** False ends the attempts: the error is not one that goes away. */
  readonly toRetry?: ((error: unknown) => boolean) | undefined;
  /** Adds the error to the line of each attempt. Default false. */
  readonly verboseRetryLog?: boolean | undefined;
  /** How a request uses its connection. */
  readonly requestScope?: RequestScopeOptions | undefined;
  /** How long a shutdown waits for work in progress before it cancels it. Default 10,000. */
  readonly shutdownTimeout?: number | undefined;
}

/** Options that a factory may give: the name and the visibility must be known before it runs. */
export type DatabaseModuleFactoryOptions = Omit<DatabaseModuleOptions, 'isGlobal'>;

/** A provider that makes the options: `useClass` and `useExisting` of `forRootAsync`. */
export interface DatabaseOptionsFactory {
  /** Called once, when the module is made; `name` is that of the module. */
  createDatabaseOptions(name?: string): DatabaseModuleFactoryOptions | Promise<DatabaseModuleFactoryOptions>;
}

/** `forRootAsync`: one of `useFactory`, `useClass` and `useExisting`. */
export interface DatabaseModuleAsyncOptions extends Pick<ModuleMetadata, 'imports'> {
  /** Needed for a second database in one application. */
  readonly name?: string | undefined;
  /** Default true: every module sees the engine without importing this one. */
  readonly isGlobal?: boolean | undefined;
  /** What `useFactory` is called with, in this order. */
  readonly inject?: readonly (InjectionToken | OptionalFactoryDependency)[] | undefined;
  /** Makes the options of what `inject` names. */
  // Nest gives a factory whatever `inject` names; its own types say the same.
  readonly useFactory?:
    | ((...dependencies: never[]) => DatabaseModuleFactoryOptions | Promise<DatabaseModuleFactoryOptions>)
    | undefined;
  /** A class that Nest makes for this alone. */
  readonly useClass?: Type<DatabaseOptionsFactory> | undefined;
  /** The token of a provider that is there already. */
  readonly useExisting?: InjectionToken<DatabaseOptionsFactory> | undefined;
  /** Providers for the class of `useClass`. */
  readonly extraProviders?: readonly Provider[] | undefined;
}
