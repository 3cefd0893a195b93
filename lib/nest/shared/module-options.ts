import { DatabaseUrl } from '../../engine/index.js';
import { ENGINE_OPTIONS } from '../../engine/resolve-engine-options.js';
import {
  asItIs,
  countRule,
  eitherRule,
  flagRule,
  functionRule,
  nameRule,
  oneOf,
  synchronousRule,
  timeRule,
  type OptionRule,
} from '../../engine/util/option-rule.js';
import { OptionTable, tableRule } from '../../engine/util/option-table.js';
import { EMBEDDED_OPTIONS } from '../../embedded/embedded-options.js';
import { MIGRATION_OPTIONS } from '../../migrations/migration-options.js';
import type {
  DatabaseModuleAsyncOptions,
  DatabaseModuleOptions,
  RequestScopeOptions,
} from './database-options.interface.js';

const consistencyRule: OptionRule = {
  expected: 'an object with read() and header(), such as cookieConsistency() makes',
  accepts: (value) => {
    const { read, header } = (value ?? {}) as { readonly read?: unknown; readonly header?: unknown };
    return typeof read === 'function' && typeof header === 'function';
  },
  coerce: asItIs,
};

const REQUEST_SCOPE_OPTIONS = new OptionTable<RequestScopeOptions>(
  'requestScope',
  {
    commit: oneOf('onSuccess', 'explicit'),
    orphanTimeout: timeRule,
    connection: functionRule,
    consistency: consistencyRule,
  },
  'refused',
);

const urlRule: OptionRule = {
  expected: 'a string or a DatabaseUrl',
  accepts: (value) => typeof value === 'string' || value instanceof DatabaseUrl,
  coerce: asItIs,
  isSecret: true,
};

const tokenRule: OptionRule = {
  expected: 'a class or the token of a provider',
  accepts: (value) => ['function', 'string', 'symbol', 'object'].includes(typeof value) && value !== null,
  coerce: asItIs,
};

const listRule: OptionRule = { expected: 'an array', accepts: Array.isArray, coerce: asItIs };

/** What each option of `DatabaseModule.forRoot()` may be, those of its engine among them. */
export const DATABASE_OPTIONS = new OptionTable<DatabaseModuleOptions>(
  'DatabaseModule',
  {
    url: urlRule,
    ...ENGINE_OPTIONS.rules,
    name: nameRule,
    isGlobal: flagRule,
    embedded: eitherRule(flagRule, tableRule(EMBEDDED_OPTIONS)),
    migrations: tableRule(MIGRATION_OPTIONS),
    connectOnStart: oneOf('eager', 'lazy', 'background'),
    retryAttempts: countRule(0),
    retryDelay: timeRule,
    toRetry: synchronousRule,
    verboseRetryLog: flagRule,
    requestScope: tableRule(REQUEST_SCOPE_OPTIONS),
    shutdownTimeout: timeRule,
  },
  'refused',
  () => ENGINE_OPTIONS.misplaced,
);

/** What each option of `DatabaseModule.forRootAsync()` may be. */
export const DATABASE_ASYNC_OPTIONS = new OptionTable<DatabaseModuleAsyncOptions>(
  'forRootAsync',
  {
    name: nameRule,
    isGlobal: flagRule,
    imports: listRule,
    inject: listRule,
    useFactory: functionRule,
    useClass: functionRule,
    useExisting: tokenRule,
    extraProviders: listRule,
  },
  'refused',
);
