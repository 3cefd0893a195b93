import { Inject } from '@nestjs/common';
import { getConnectionToken, getEngineToken } from './database.tokens.js';

/**
 * Injects the {@link AsyncEngine} of this name; without a name, the unnamed one.
 *
 * @example
 * ```ts
 * @Injectable()
 * class ReportService {
 *   constructor(@InjectEngine('reports') private readonly engine: AsyncEngine) {}
 * }
 * ```
 */
export const InjectEngine = (name?: string): ParameterDecorator & PropertyDecorator =>
  Inject(getEngineToken(name));

/**
 * Injects the request's {@link AsyncConnection} of this name; the class that asks for it becomes
 * request-scoped.
 *
 * @example
 * ```ts
 * @Injectable()
 * class OrderService {
 *   constructor(@InjectConnection() private readonly connection: AsyncConnection) {}
 * }
 * ```
 */
export const InjectConnection = (name?: string): ParameterDecorator & PropertyDecorator =>
  Inject(getConnectionToken(name));
