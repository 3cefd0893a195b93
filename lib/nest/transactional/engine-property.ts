import 'reflect-metadata';
import { Inject, Optional } from '@nestjs/common';
import { ArgumentError, NoActiveScopeError } from '../../engine/index.js';
import type { AsyncEngine } from '../../engine/index.js';
import { getEngineToken } from '../shared/database.tokens.js';
import type { EngineChoice } from './transactional-options.js';

const ENGINES = Symbol.for('nest-async-engine:engines');
const PREFIX = 'nest-async-engine:engine-of:';
// Looked up in each call of a method.
const UNNAMED = Symbol.for(PREFIX);

/**
 * Registers the engine as a dependency of the class, so that each container gives its own. Optional, for unit
 * tests that make the class by hand. A function finds its engine by itself.
 */
export function injectEngine(target: object, choice: EngineChoice | undefined): void {
  if (typeof choice === 'function') return;
  const property = propertyOf(choice);
  if (engineProperties(target).includes(property)) return;
  Reflect.defineMetadata(ENGINES, [...engineProperties(target), property], target);
  Inject(getEngineToken(choice))(target, property);
  Optional()(target, property);
}

/** Where the container puts the engines of an object's transactional methods and listeners. */
export function engineProperties(instance: object): readonly symbol[] {
  return (Reflect.getMetadata(ENGINES, instance) as readonly symbol[] | undefined) ?? [];
}

/** The engine that the container has given to `self`, or that the function finds. */
export function engineOf(self: object, choice: EngineChoice | undefined, label: string): AsyncEngine {
  if (typeof choice === 'function') return foundBy(choice, self, label);
  const engine = Reflect.get(self, propertyOf(choice)) as AsyncEngine | undefined;
  if (engine !== undefined) return choice === undefined ? engine.engineAround : engine;
  const options = choice === undefined ? '' : `{ name: '${choice}' }`;
  const advice =
    typeof self === 'function'
      ? 'It is static: name its engine by @Transactional({ engine: () => engine }), or make it a method of a provider.'
      : `Import DatabaseModule.forRoot(${options}) and let Nest create the class.`;
  throw new NoActiveScopeError(`${label} needs a transaction and there is no engine for it. ${advice}`);
}

function foundBy(find: (self: never) => AsyncEngine, self: object, label: string): AsyncEngine {
  const found: unknown = find(self as never);
  // By its shape: a package that is loaded twice has two classes of this name.
  if (typeof (found as AsyncEngine | undefined)?.openTransaction === 'function') return found as AsyncEngine;
  throw new ArgumentError(
    `${label}: the function given as 'engine' returned ${typeof found === 'object' ? 'an object' : String(found)}. ` +
      'It must return an AsyncEngine.',
  );
}

function propertyOf(name: string | undefined): symbol {
  return name === undefined ? UNNAMED : Symbol.for(`${PREFIX}${name}`);
}
