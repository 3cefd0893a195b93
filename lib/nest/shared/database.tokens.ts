import type { InjectionToken } from '@nestjs/common';
import { AsyncConnection, AsyncEngine } from '../../engine/index.js';
import { expectArgument } from '../../engine/util/argument.js';
import { wordRule } from '../../engine/util/option-rule.js';

/** The name of a database that was given none. */
export const DEFAULT_DATABASE = 'default';

const ENGINE_PREFIX = 'nest-async-engine:engine:';
const CONNECTION_PREFIX = 'nest-async-engine:connection:';
const SCOPED_CONNECTION_PREFIX = 'nest-async-engine:scoped-connection:';
const SETTINGS_PREFIX = 'nest-async-engine:settings:';

/** The token of an engine: the class itself for the unnamed one. */
export function getEngineToken(name: string = DEFAULT_DATABASE): InjectionToken<AsyncEngine> {
  expectArgument('the name of a database', wordRule, name);
  return name === DEFAULT_DATABASE ? AsyncEngine : `${ENGINE_PREFIX}${name}`;
}

/** The token of the request's connection: the class itself for the unnamed database. */
export function getConnectionToken(name: string = DEFAULT_DATABASE): InjectionToken<AsyncConnection> {
  expectArgument('the name of a database', wordRule, name);
  return name === DEFAULT_DATABASE ? AsyncConnection : `${CONNECTION_PREFIX}${name}`;
}

/** The token of the singleton handle on the connection of each request. */
export function getScopedConnectionToken(name: string = DEFAULT_DATABASE): InjectionToken<AsyncConnection> {
  expectArgument('the name of a database', wordRule, name);
  return `${SCOPED_CONNECTION_PREFIX}${name}`;
}

/** Whether it is the token of an engine, of whatever database. */
export function isEngineToken(token: InjectionToken): boolean {
  return token === AsyncEngine || (typeof token === 'string' && token.startsWith(ENGINE_PREFIX));
}

/** Whether it is the token of a connection that Nest makes for each request, of whatever database. */
export function isConnectionToken(token: InjectionToken): boolean {
  return token === AsyncConnection || (typeof token === 'string' && token.startsWith(CONNECTION_PREFIX));
}

/** Whether it is the token of the handle on the connection of each request, of whatever database. */
export function isScopedConnectionToken(token: InjectionToken): boolean {
  return typeof token === 'string' && token.startsWith(SCOPED_CONNECTION_PREFIX);
}

/** The token of a module's {@link ModuleSettings}. */
export function getSettingsToken(name: string): string {
  return `${SETTINGS_PREFIX}${name}`;
}

/** Whether it is the token of a module's settings, of whatever database. */
export function isSettingsToken(token: InjectionToken): boolean {
  return typeof token === 'string' && token.startsWith(SETTINGS_PREFIX);
}

/** The token of the GraphQL operations of a module. */
export function getOperationsToken(name: string): string {
  return `nest-async-engine:graphql-operations:${name}`;
}

/** The token of what tells a module of Apollo's operations. */
export function getPluginToken(name: string): string {
  return `nest-async-engine:graphql-plugin:${name}`;
}

/** The token of what runs a module's handlers in their scopes. */
export function getInterceptorToken(name: string): string {
  return `nest-async-engine:request-scope-interceptor:${name}`;
}

/** Inside one DatabaseModule: what it was configured with. */
export const MODULE_ENGINE = 'nest-async-engine:module-engine';
export const MODULE_SETTINGS = 'nest-async-engine:module-settings';
