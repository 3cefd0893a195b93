import { ResourceClosedError } from '../errors/errors.js';
import type { Pool } from './pool.js';

/** What `work` gives on the engine's pool, and on the next one where that is disposed while `work` waits. */
export async function onPresentPool<T>(
  engine: { readonly pool: Pool },
  work: (pool: Pool) => Promise<T>,
): Promise<T> {
  const { pool } = engine;
  try {
    return await work(pool);
  } catch (error) {
    if (error instanceof ResourceClosedError && engine.pool !== pool)
      return await onPresentPool(engine, work);
    throw error;
  }
}
