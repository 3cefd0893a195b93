import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AsyncEngine, DatabaseModule, MigrationError, sql } from 'nest-async-engine';
import { DatabaseTestingModule } from 'nest-async-engine/testing';
import { LogLines } from '../support/doubles/log-lines.js';
import { createDatabase, type TestDatabase } from '../support/server/postgres.js';

@Injectable()
class Reader implements OnModuleInit {
  found: unknown;

  constructor(private readonly engine: AsyncEngine) {}

  async onModuleInit(): Promise<void> {
    this.found = await this.engine.scalar(sql`SELECT name FROM items`);
  }
}

let database: TestDatabase;
let dir: string;

beforeEach(async () => {
  database = await createDatabase('migrations');
  dir = await mkdtemp(path.join(tmpdir(), 'migrations-'));
  await writeFile(
    path.join(dir, '0001-items.sql'),
    "CREATE TABLE items (name text); INSERT INTO items VALUES ('one')",
  );
});
afterEach(async () => {
  await database.drop();
  await rm(dir, { recursive: true });
});

const open = (migrations: { dir: string }, options: object = {}) =>
  Test.createTestingModule({
    imports: [DatabaseModule.forRoot({ url: database.url, logger: new LogLines(), migrations, ...options })],
    providers: [Reader],
  }).compile();

describe('DatabaseModule.forRoot({ migrations })', () => {
  it('has run them before onModuleInit of the application', async () => {
    const app = await (await open({ dir })).init();
    expect(app.get(Reader).found).toBe('one');
    expect(app.get(AsyncEngine).pool.checkedOut()).toBe(0);
    await app.close();
  });

  it('runs them once when two applications start at once', async () => {
    const apps = await Promise.all([open({ dir }), open({ dir })]);
    expect(await database.query('SELECT name FROM items')).toEqual([{ name: 'one' }]);
    await Promise.all(apps.map((app) => app.close()));
  });

  it('does not start the application when one of them fails, and leaves no session', async () => {
    await writeFile(path.join(dir, '0002-broken.sql'), 'SELECT nothing');
    await expect(open({ dir })).rejects.toSatisfy(
      (error) => error instanceof MigrationError && error.file === '0002-broken.sql',
    );
    await expect.poll(() => database.sessions()).toEqual([]);
    expect(await database.query("SELECT to_regclass('items') AS found")).toEqual([{ found: null }]);
  });

  it.each(['lazy', 'background'])('refuses connectOnStart: %s beside them', async (connectOnStart) => {
    await expect(open({ dir }, { connectOnStart })).rejects.toThrow(/has migrations.*Leave one of them out/);
  });

  it('names a wrong option of theirs', async () => {
    await expect(open({ dir }, { migrations: { dir, tables: 'x' } })).rejects.toThrow(/did you mean 'table'/);
  });
});

describe('DatabaseTestingModule.forRoot({ migrations })', () => {
  it('has run them on its own database before onModuleInit', async () => {
    const app = await Test.createTestingModule({
      imports: [DatabaseTestingModule.forRoot({ migrations: { dir } })],
      providers: [Reader],
    }).compile();
    await app.init();
    expect(app.get(Reader).found).toBe('one');
    await app.close();
  });
});
