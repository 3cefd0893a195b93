import { ArgumentError } from '../engine/index.js';

/** What is used of the package. */
export type NodePgMigrate = Awaited<ReturnType<typeof importPackage>>;

async function importPackage() {
  const [{ runner, PG_MIGRATE_LOCK_ID: lockId }, { getMigrationFilePaths: list }, { loadMigrationUnits }] =
    await Promise.all([
      import('node-pg-migrate/runner'),
      import('node-pg-migrate/migration'),
      import('node-pg-migrate/migrationLoader'),
    ]);
  return { runner, lockId, list, load: loadMigrationUnits };
}

/** Only here, so that an application without migrations need not have the package. */
export async function loadNodePgMigrate(): Promise<NodePgMigrate> {
  try {
    return await importPackage();
  } catch (cause) {
    const { code } = cause as { readonly code?: unknown };
    if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') throw cause;
    throw new ArgumentError('migrations need the package node-pg-migrate: npm install node-pg-migrate@9', {
      cause,
    });
  }
}
