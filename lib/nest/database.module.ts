import { Inject, Module, Optional, type DynamicModule, type Provider } from '@nestjs/common';
import { ArgumentError, type AsyncEngine } from '../engine/index.js';
import { DatabaseCoreModule } from './database-core.module.js';
import { databaseProviders } from './database.providers.js';
import { isRecord } from '../engine/util/option-rule.js';
import type {
  DatabaseModuleAsyncOptions,
  DatabaseModuleOptions,
} from './shared/database-options.interface.js';
import {
  DEFAULT_DATABASE,
  MODULE_ENGINE,
  MODULE_SETTINGS,
  getConnectionToken,
  getEngineToken,
  getScopedConnectionToken,
} from './shared/database.tokens.js';
import { DATABASE_ASYNC_OPTIONS, DATABASE_OPTIONS } from './shared/module-options.js';
import type { ModuleSettings } from './shared/module-settings.js';
import { HttpEntrances } from './request-scope/http-entrances.js';
import { asyncSettingsProviders, settingsProvider } from './settings.providers.js';

/**
 * Provides an {@link AsyncEngine} and the request-scoped {@link AsyncConnection}; opens the scope of every
 * request.
 */
@Module({})
export class DatabaseModule {
  /** @internal */
  constructor(
    @Optional() @Inject(MODULE_ENGINE) engine: AsyncEngine | undefined,
    @Optional() @Inject(MODULE_SETTINGS) settings: ModuleSettings | undefined,
    @Optional() @Inject(HttpEntrances) entrances: HttpEntrances | undefined,
  ) {
    if (engine === undefined || settings === undefined) {
      throw new ArgumentError(
        'DatabaseModule was imported as a class. Import DatabaseModule.forRoot() or .forRootAsync(), once for each database.',
      );
    }
    entrances?.add(engine, settings.options.requestScope);
  }

  /**
   * Connects to `url`, else to DATABASE_URL, else to an `embedded` PostgreSQL.
   *
   * A wrong option, a second module of the same name and a database that stays away fail the start of the
   * application.
   *
   * @example
   * ```ts
   * @Module({ imports: [DatabaseModule.forRoot({ url: 'postgresql://localhost/shop', poolSize: 10 })] })
   * export class AppModule {}
   * ```
   */
  static forRoot(options: DatabaseModuleOptions = {}): DynamicModule {
    const name = nameOf(options);
    return moduleOf(name, options.isGlobal, [settingsProvider(name, options)]);
  }

  /**
   * The same with options that need other providers. Its name must be given here, outside of the factory. The
   * options are asked once: what they depend on must be singletons.
   *
   * @example
   * ```ts
   * DatabaseModule.forRootAsync({
   *   inject: [ConfigService],
   *   useFactory: (config: ConfigService) => ({ url: config.getOrThrow('DATABASE_URL') }),
   * });
   * ```
   */
  static forRootAsync(options: DatabaseModuleAsyncOptions): DynamicModule {
    DATABASE_ASYNC_OPTIONS.parse(options);
    const name = options.name ?? DEFAULT_DATABASE;
    const providers = [...asyncSettingsProviders(name, options), ...(options.extraProviders ?? [])];
    return moduleOf(name, options.isGlobal, providers, options.imports);
  }
}

function moduleOf(
  name: string,
  isGlobal: boolean | undefined,
  providers: readonly Provider[],
  imports: DatabaseModuleAsyncOptions['imports'] = [],
): DynamicModule {
  return {
    module: DatabaseModule,
    global: isGlobal ?? true,
    imports: [DatabaseCoreModule, ...imports],
    providers: [...providers, ...databaseProviders(name)],
    exports: [getEngineToken(name), getConnectionToken(name), getScopedConnectionToken(name)],
  };
}

/** The only option that is needed before the start. */
function nameOf(options: unknown): string {
  if (!isRecord(options)) DATABASE_OPTIONS.parse(options);
  const { name = DEFAULT_DATABASE } = options as DatabaseModuleOptions;
  return DATABASE_OPTIONS.parseOption('name', name) as string;
}
