import type { InjectionToken } from '@nestjs/common';
import { AsyncConnection, AsyncEngine } from '../engine/index.js';

/** The name of a database that was given none. */
export const DEFAULT_DATABASE = 'default';

/** The token of an engine: the class itself for the unnamed one. */
export function getEngineToken(name: string = DEFAULT_DATABASE): InjectionToken<AsyncEngine> {
  return name === DEFAULT_DATABASE ? AsyncEngine : `nest-async-engine:engine:${name}`;
}

/** The token of the request's connection: the class itself for the unnamed database. */
export function getConnectionToken(name: string = DEFAULT_DATABASE): InjectionToken<AsyncConnection> {
  return name === DEFAULT_DATABASE ? AsyncConnection : `nest-async-engine:connection:${name}`;
}

/** The token of a module's options. */
export function getOptionsToken(name: string): string {
  return `nest-async-engine:options:${name}`;
}

/** Inside one DatabaseModule: what it was configured with. */
export const MODULE_ENGINE = 'nest-async-engine:module-engine';
export const MODULE_OPTIONS = 'nest-async-engine:module-options';
