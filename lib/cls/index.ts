/**
 * The engine as the database of `@nestjs-cls/transactional`.
 *
 * @module nest-async-engine/cls
 */
export { TransactionalAdapterEngine } from './transactional-adapter-engine.js';
export type { TransactionalAdapterEngineOptions } from './transactional-adapter-engine.js';
