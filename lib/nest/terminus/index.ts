/**
 * A health check of the database for `@nestjs/terminus`.
 *
 * @module nest-async-engine/terminus
 */
export { DatabaseHealthIndicator } from './database-health.indicator.js';
export type { DatabaseHealth, DatabasePingOptions, PoolFigures } from './database-health.indicator.js';
