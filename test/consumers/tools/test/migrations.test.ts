import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate as migrateDrizzle } from 'drizzle-orm/node-postgres/migrator';
import { runner } from 'node-pg-migrate';
import { migrate } from 'postgres-migrations';
import { Umzug } from 'umzug';
import { beforeEach, describe, expect, it } from 'vitest';
import { createAsyncEngine, type AsyncEngine } from 'nest-async-engine/engine';
import { asPool } from 'nest-async-engine/pg';
import { createTestDatabase } from 'nest-async-engine/testing';
import type { Pool, PoolClient } from 'pg';

const UP = 'CREATE TABLE migrated (id int)';

const TOOLS: Readonly<Record<string, (client: PoolClient, folder: string) => Promise<unknown>>> = {
  'node-pg-migrate': async (dbClient, dir) => {
    await writeFile(path.join(dir, '1700000000000_first.sql'), `${UP};`);
    return await runner({
      dbClient,
      dir,
      direction: 'up',
      migrationsTable: 'migrations',
      log: () => undefined,
    });
  },
  'postgres-migrations': async (client, dir) => {
    await writeFile(path.join(dir, '1_first.sql'), `${UP};`);
    return await migrate({ client }, dir);
  },
  drizzle: async (client, folder) => {
    await mkdir(path.join(folder, 'meta'), { recursive: true });
    const entry = { idx: 0, version: '7', when: 1_700_000_000_000, tag: '0000_first', breakpoints: true };
    const journal = { version: '7', dialect: 'postgresql', entries: [entry] };
    await writeFile(path.join(folder, 'meta/_journal.json'), JSON.stringify(journal));
    await writeFile(path.join(folder, '0000_first.sql'), `${UP};`);
    await migrateDrizzle(drizzle(client), { migrationsFolder: folder });
  },
  umzug: async (client) => {
    const umzug = new Umzug({
      migrations: [{ name: 'first', up: ({ context }) => context.query(UP).then(() => undefined) }],
      context: client,
      storage: {
        logMigration: ({ name }) =>
          client.query('INSERT INTO migrations VALUES ($1)', [name]).then(() => undefined),
        unlogMigration: async () => undefined,
        executed: async () => {
          await client.query('CREATE TABLE IF NOT EXISTS migrations (name text)');
          return (await client.query('SELECT name FROM migrations')).rows.map(({ name }) => name as string);
        },
      },
      logger: undefined,
    });
    return await umzug.up();
  },
};

describe.each(Object.entries(TOOLS))('%s', (_, run) => {
  let engine: AsyncEngine;
  let pool: Pool;
  let folder: string;
  let drop: () => Promise<void>;
  beforeEach(async () => {
    const database = await createTestDatabase();
    drop = database.drop;
    engine = createAsyncEngine(database.url, { poolSize: 2 });
    pool = asPool(engine);
    folder = await mkdtemp(path.join(tmpdir(), 'migrations-'));
    return async () => {
      expect(engine.pool.checkedOut()).toBe(0);
      await engine.aclose();
      await drop();
      await rm(folder, { recursive: true });
    };
  });

  const migrateOnce = async (): Promise<void> => {
    const client = await pool.connect();
    try {
      await run(client, folder);
    } finally {
      client.release();
    }
  };
  const isThere = async (): Promise<boolean> =>
    (await pool.query("SELECT to_regclass('migrated') IS NOT NULL AS yes")).rows[0].yes as boolean;

  it('migrates, once', async () => {
    await migrateOnce();
    await migrateOnce();
    expect(await isThere()).toBe(true);
  });

  it('is undone with our transaction', async () => {
    const work = engine.transaction(async () => {
      await migrateOnce();
      expect(await isThere()).toBe(true);
      throw new RangeError('mine');
    });
    await expect(work).rejects.toThrow('mine');
    expect(await isThere()).toBe(false);
  });

  it('is committed with our transaction', async () => {
    await engine.transaction(migrateOnce);
    expect(await isThere()).toBe(true);
  });
});
