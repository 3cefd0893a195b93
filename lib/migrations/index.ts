/**
 * Brings a database up to date with a folder of migrations.
 *
 * @module nest-async-engine/migrations
 */
export { runMigrations } from './run-migrations.js';
export type { MigrationOptions, MigrationProgress } from './migration-options.js';
