import type { Provider } from '@nestjs/common';
import { ArgumentError } from '../engine/index.js';
import { describeValue } from '../engine/util/describe-value.js';
import { Databases } from './databases.js';
import type {
  DatabaseModuleAsyncOptions,
  DatabaseModuleFactoryOptions,
  DatabaseModuleOptions,
  DatabaseOptionsFactory,
} from './shared/database-options.interface.js';
import { getSettingsToken } from './shared/database.tokens.js';
import { DATABASE_OPTIONS } from './shared/module-options.js';
import { ModuleSettings } from './shared/module-settings.js';

/**
 * The settings of `forRoot`. A factory, since Nest keeps values where they can be enumerated, and so that a
 * wrong option fails the start of the application and not the import of a file.
 */
export function settingsProvider(name: string, options: DatabaseModuleOptions): Provider {
  return {
    provide: getSettingsToken(name),
    inject: [Databases],
    useFactory: (databases: Databases) =>
      databases.closeOnFailure(() => new ModuleSettings(DATABASE_OPTIONS.parse(options))),
  };
}

/** The settings of `forRootAsync`. */
export function asyncSettingsProviders(name: string, options: DatabaseModuleAsyncOptions): Provider[] {
  const provide = getSettingsToken(name);
  const { useFactory, useClass, useExisting, inject = [] } = options;
  const given = [useFactory, useClass, useExisting].filter((way) => way !== undefined);
  if (given.length !== 1) {
    throw new ArgumentError(
      `forRootAsync needs exactly one of useFactory, useClass and useExisting; got ${given.length}.`,
    );
  }
  const settingsOf = (
    databases: Databases,
    ask: () => DatabaseModuleFactoryOptions | Promise<DatabaseModuleFactoryOptions>,
  ): Promise<ModuleSettings> =>
    databases.closeOnFailure(async () => new ModuleSettings(checked(name, await ask())));
  if (useFactory !== undefined) {
    const factory = (databases: Databases, ...dependencies: never[]) =>
      settingsOf(databases, () => useFactory(...dependencies));
    return [{ provide, inject: [Databases, ...inject], useFactory: factory }];
  }
  const fromFactory = (databases: Databases, factory: DatabaseOptionsFactory) =>
    settingsOf(databases, () => optionsOf(factory, name));
  if (useExisting !== undefined) {
    return [{ provide, inject: [Databases, useExisting], useFactory: fromFactory }];
  }
  const factoryToken = `${provide}:factory`;
  return [
    { provide: factoryToken, useClass: useClass as NonNullable<typeof useClass> },
    { provide, inject: [Databases, factoryToken], useFactory: fromFactory },
  ];
}

function optionsOf(
  factory: DatabaseOptionsFactory,
  name: string,
): ReturnType<DatabaseOptionsFactory['createDatabaseOptions']> {
  if (typeof (factory as Partial<DatabaseOptionsFactory> | null)?.createDatabaseOptions === 'function')
    return factory.createDatabaseOptions(name);
  throw new ArgumentError(
    `forRootAsync of the database '${name}': ${describeValue(factory)} has no method createDatabaseOptions(). ` +
      'The class of useClass, and the provider of useExisting, must have one that returns the options.',
  );
}

function checked(name: string, given: unknown): DatabaseModuleFactoryOptions {
  const options = DATABASE_OPTIONS.parse(given);
  if (options.name === undefined || options.name === name) return options;
  throw new ArgumentError(
    `the factory of the database '${name}' gave the name '${options.name}'. Name it in forRootAsync({ name }), where its token is made.`,
  );
}
