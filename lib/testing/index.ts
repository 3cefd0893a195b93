/**
 * A real PostgreSQL for tests, a database of its own for each suite, and a rollback after each test.
 *
 * @module nest-async-engine/testing
 */
export { DatabaseTestingModule } from './database-testing.module.js';
export type { DatabaseTestingModuleOptions } from './database-testing.module.js';
export { disableTransactions } from './disable-transactions.js';
export { startEmbeddedPostgres } from '../embedded/embedded-postgres.js';
export type { EmbeddedPostgres, EmbeddedPostgresOptions } from '../embedded/embedded-postgres.js';
export { expectStatements } from './record/expect-statements.js';
export { recordSql, SqlLog } from './record/record-sql.js';
export type { RecordSqlOptions, SentStatement, SessionLog } from './record/record-sql.js';
export { rollbackEach } from './rollback-each.js';
export type { RollbackEachOptions, RollbackTarget } from './rollback-each.js';
export { createTestDatabase } from './test-database.js';
export type { TestDatabase, TestDatabaseOptions } from './test-database.js';
export type { HookRegistrar, TestHooks } from './test-hooks.js';
export { shareTestServer } from './test-server.js';
