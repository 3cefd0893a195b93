import { Inject, Optional } from '@nestjs/common';
import { getEngineToken } from './database.tokens.js';

/**
 * Registers the engine as a dependency of the class, so that each container gives its own; gives the property that it
 * arrives in. Optional, for unit tests that make the class by hand.
 */
export function injectEngine(target: object, name: string | undefined): symbol {
  const property = Symbol.for(`nest-async-engine:engine-of:${name ?? ''}`);
  Inject(getEngineToken(name))(target, property);
  Optional()(target, property);
  return property;
}
