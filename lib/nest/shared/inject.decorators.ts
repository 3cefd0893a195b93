import { Inject } from '@nestjs/common';
import { getConnectionToken, getEngineToken } from './database.tokens.js';

/** Injects the {@link AsyncEngine} of this name; without a name, the unnamed one. */
export const InjectEngine = (name?: string): ParameterDecorator & PropertyDecorator =>
  Inject(getEngineToken(name));

/**
 * Injects the request's {@link AsyncConnection} of this name; the class that asks for it becomes
 * request-scoped.
 */
export const InjectConnection = (name?: string): ParameterDecorator & PropertyDecorator =>
  Inject(getConnectionToken(name));
