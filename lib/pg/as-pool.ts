import type { Pool as PgPool } from 'pg';
import { ArgumentError, type AsyncEngine } from '../engine/index.js';
import { Pool } from './pool.js';

/**
 * A `pg.Pool` over the connections of `engine`, for tools that take one. Inside a transaction of the engine,
 * ambient or by `@Transactional`, its clients work in that transaction: BEGIN is a savepoint, COMMIT its
 * release, ROLLBACK goes back to it, SAVEPOINT nests. Outside, a client has a connection of the engine's pool
 * to itself.
 *
 * Clients are those of `pg`: values, errors, cursors, COPY streams and notifications are as `pg` has them. A
 * client that is released with an open transaction is rolled back, with a warning that names the place of its
 * `connect()`. `end()` ends this object alone, at once; the connections are the engine's.
 *
 * @throws ArgumentError for what is not an engine.
 *
 * @example
 * ```ts
 * const database = asPool(engine);
 * await engine.transaction(async () => {
 *   await database.query('INSERT INTO orders (customer) VALUES ($1)', ['Ada']);
 *   await engine.execute(sql`UPDATE stock SET n = n - 1`); // both are stored, or none
 * });
 * ```
 */
export function asPool(engine: AsyncEngine): PgPool {
  if (typeof (engine as Partial<AsyncEngine> | undefined)?.rawConnection === 'function')
    return new Pool(engine);
  throw new ArgumentError(
    'asPool() takes an AsyncEngine. In a Nest application: asPool(app.get(getEngineToken())).',
  );
}
