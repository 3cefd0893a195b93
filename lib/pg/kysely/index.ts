/**
 * Kysely over the engine; with `kysely`.
 *
 * @module nest-async-engine/kysely
 */
export { EngineDialect } from './engine-dialect.js';
