import { setTimeout as delay } from 'node:timers/promises';
import { ArgumentError, EngineError, MigrationError } from '../engine/index.js';
import type { AsyncEngine, EngineLogger } from '../engine/index.js';
import { quoteIdentifier } from '../engine/statement/identifier.js';
import { readMigrationFiles } from './migration-files.js';
import { MigrationHistory, type MigrationClient } from './migration-history.js';
import { MIGRATION_OPTIONS, type MigrationOptions } from './migration-options.js';
import { MigrationRun } from './migration-run.js';
import { reasonOf } from '../engine/errors/thrown.js';
import { loadNodePgMigrate } from './node-pg-migrate.js';
import { TerminalLine } from './terminal-line.js';

/** Between two attempts to get the lock, in ms. */
const LOCK_INTERVAL = 200;

const UNLOCK = 'SELECT pg_advisory_unlock_all()';

/**
 * Runs the migrations of a folder that have not run on the database of `engine`, and gives the names of their
 * files. All are stored, or none; a migration that leaves the transaction (`pgm.noTransaction()`) stores what
 * ran before it.
 *
 * They run on a session of their own, outside of any transaction around the call, under an advisory lock: of
 * several instances one runs them, and the others wait and find nothing to do. The lock is that of
 * node-pg-migrate's own command. Each file is a line of the engine's log; on a terminal, what takes longer
 * than a second is shown with its time.
 *
 * @throws MigrationError for a migration that fails, and for a file that was changed, removed or moved after
 * it ran; ArgumentError for a wrong option and where the package node-pg-migrate is missing.
 *
 * @example
 * ```ts
 * await runMigrations(engine, { dir: new URL('../migrations/', import.meta.url) });
 * ```
 */
export async function runMigrations(engine: AsyncEngine, options: MigrationOptions): Promise<string[]> {
  const { dir, table = 'pgmigrations', schema, onProgress, signal } = parseOptions(options);
  const tool = await loadNodePgMigrate();
  const files = await readMigrationFiles(dir, tool.list);
  const pooled = await engine.rawConnection();
  const terminal = new TerminalLine();
  try {
    const client = pooled.session.client as MigrationClient;
    await waitForLock(client, tool.lockId, { logger: engine.logger, terminal }, signal);
    if (schema !== undefined) await createSchema(client, schema);
    const history = new MigrationHistory(client, schema ?? 'public', table);
    const pending = await history.pendingOf(files, dir);
    const target = { dir, table, schema, onProgress };
    const { logger } = engine;
    const run = new MigrationRun({ tool, client, history, files, pending, target, logger, terminal });
    if (pending.length > 0) await run.start();
    return pending.map(({ file }) => file);
  } catch (error) {
    if (error instanceof EngineError || signal?.aborted === true) throw error;
    throw new MigrationError(`the migrations in ${dir} cannot run: ${reasonOf(error)}`, { cause: error });
  } finally {
    terminal.end();
    // What they have set, and the lock, end with the session; a PGlite has only one.
    if (engine.driver === 'pglite') await pooled.session.execute([], { text: UNLOCK, prepare: false });
    else if (pooled.isValid) pooled.detach();
    await pooled.close();
  }
}

function parseOptions(options: MigrationOptions): MigrationOptions & { readonly dir: string } {
  const parsed = MIGRATION_OPTIONS.parse(options);
  if (typeof parsed.dir === 'string') return { ...parsed, dir: parsed.dir };
  throw new ArgumentError("the migrations have no 'dir': name the folder of their files.");
}

/** A session that waits inside of a statement would hold up CREATE INDEX CONCURRENTLY for ever. */
async function waitForLock(
  client: MigrationClient,
  id: number,
  { logger, terminal }: { readonly logger: EngineLogger; readonly terminal: TerminalLine },
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    signal?.throwIfAborted();
    const { rows } = await client.query('SELECT pg_try_advisory_lock($1) AS got', [id]);
    if (rows[0]?.['got'] === true) return;
    if (attempt === 1) {
      const message = 'migrations: waiting for another instance';
      logger.log(message, { logger: 'AsyncEngine', event: 'migration' });
      terminal.show(message);
    }
    await delay(LOCK_INTERVAL, undefined, { signal });
  }
}

// IF NOT EXISTS asks for the right to create, even where there is nothing to do.
async function createSchema(client: MigrationClient, schema: string): Promise<void> {
  const { rows } = await client.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema]);
  if (rows.length === 0) await client.query(`CREATE SCHEMA ${quoteIdentifier(schema)}`);
}
