/**
 * A `pg.Pool` over the engine, for tools that take one.
 *
 * @module nest-async-engine/pg
 */
export { asPool } from './as-pool.js';
