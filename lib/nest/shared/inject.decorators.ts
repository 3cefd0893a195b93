import { Inject } from '@nestjs/common';
import { getConnectionToken, getEngineToken, getScopedConnectionToken } from './database.tokens.js';

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

/**
 * Injects a singleton handle: each use of it is a use of the connection that the present request, message or
 * `engine.scope()` has in the database of this name. No class becomes request-scoped for it. A handler that
 * reaches it is one unit of work from its start. Outside of every scope it refuses with `NoActiveScopeError`.
 *
 * @example
 * ```ts
 * @Injectable()
 * class Visits {
 *   constructor(@InjectScopedConnection() private readonly connection: AsyncConnection) {}
 * }
 * ```
 */
export const InjectScopedConnection = (name?: string): ParameterDecorator & PropertyDecorator =>
  Inject(getScopedConnectionToken(name));
