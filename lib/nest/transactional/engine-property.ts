import 'reflect-metadata';
import { Inject, Optional } from '@nestjs/common';
import { ArgumentError, NoActiveScopeError, type AsyncEngine } from '../../engine/index.js';
import { describeValue } from '../../engine/util/describe-value.js';
import { getEngineToken } from '../shared/database.tokens.js';
import { isEngine } from '../shared/is-engine.js';
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
  const engine: unknown = Reflect.get(self, propertyOf(choice));
  if (isEngine(engine)) return choice === undefined ? engine.engineAround : engine;
  if (engine !== undefined) {
    throw new ArgumentError(
      `${label} needs a transaction, and in the place of its engine there is ${describeValue(engine)}. ` +
        'In a test without a database, put disableTransactions() of nest-async-engine/testing there.',
    );
  }
  const options = choice === undefined ? '' : `{ name: '${choice}' }`;
  const advice =
    typeof self === 'function'
      ? 'It is static: name its engine by @Transactional({ engine: () => engine }), or make it a method of a provider.'
      : `Import DatabaseModule.forRoot(${options}) and let Nest create the class. Where both are so, two copies of ` +
        'nest-async-engine are loaded: install one version, and import it in one way.';
  throw new NoActiveScopeError(`${label} needs a transaction and there is no engine for it. ${advice}`);
}

function foundBy(find: (self: never) => AsyncEngine, self: object, label: string): AsyncEngine {
  const found: unknown = find(self as never);
  if (isEngine(found)) return found;
  throw new ArgumentError(
    `${label}: the function given as 'engine' returned ${typeof found === 'object' ? 'an object' : String(found)}. ` +
      'It must return an AsyncEngine.',
  );
}

function propertyOf(name: string | undefined): symbol {
  return name === undefined ? UNNAMED : Symbol.for(`${PREFIX}${name}`);
}
