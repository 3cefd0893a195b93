import { readdir, readFile } from 'node:fs/promises';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { type AsyncConnection, AsyncEngine, sql } from 'nest-async-engine';

const FOLDER = new URL('../migrations/', import.meta.url);

/** Any number that no other program locks on the same database. */
const LOCK = 7_310_001;

/** Brings the tables up to date at start: each file of `migrations/` once, in the order of their names. */
@Injectable()
export class Migrations implements OnModuleInit {
  constructor(private readonly engine: AsyncEngine) {}

  async onModuleInit(): Promise<void> {
    await this.apply();
  }

  /** All or nothing, and the names of what was applied. Two instances that start at once take turns. */
  apply(): Promise<string[]> {
    return this.engine.begin(async (connection) => {
      await connection.execute(sql`SELECT pg_advisory_xact_lock(${LOCK})`);
      await connection.execute(
        sql`CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`,
      );
      const applied = await connection.scalars<string>(sql`SELECT name FROM migrations`);
      const known = new Set(applied.all());
      const missing = (await readdir(FOLDER)).filter((name) => name.endsWith('.sql') && !known.has(name));
      for (const name of missing.sort()) await run(connection, name);
      return missing;
    });
  }
}

async function run(connection: AsyncConnection, name: string): Promise<void> {
  const script = await readFile(new URL(name, FOLDER), 'utf8');
  // A client as the driver's own, in this transaction: without parameters it takes several statements at once.
  await connection.run((client) => client.query(script));
  await connection.execute(sql`INSERT INTO migrations (name) VALUES (${name})`);
}
