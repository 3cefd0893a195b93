export { DatabaseHealthIndicator } from './database-health.indicator.js';
export type { DatabaseHealth, DatabasePingOptions, PoolFigures } from './database-health.indicator.js';
