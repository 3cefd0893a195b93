import 'reflect-metadata';
import { Inject, Optional } from '@nestjs/common';
import { getEngineToken } from '../shared/database.tokens.js';

const ENGINES = Symbol.for('nest-async-engine:engines');

/**
 * Registers the engine as a dependency of the class, so that each container gives its own; gives the property
 * that it arrives in. Optional, for unit tests that make the class by hand.
 */
export function injectEngine(target: object, name: string | undefined): symbol {
  const property = Symbol.for(`nest-async-engine:engine-of:${name ?? ''}`);
  Reflect.defineMetadata(ENGINES, [...new Set([...engineProperties(target), property])], target);
  Inject(getEngineToken(name))(target, property);
  Optional()(target, property);
  return property;
}

/** Where the container puts the engines of an object's transactional methods and listeners. */
export function engineProperties(instance: object): readonly symbol[] {
  return (Reflect.getMetadata(ENGINES, instance) as readonly symbol[] | undefined) ?? [];
}
