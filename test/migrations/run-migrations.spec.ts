import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  MigrationError,
  createAsyncEngine,
  sql,
  type AsyncEngine,
} from 'nest-async-engine/engine';
import { runMigrations, type MigrationProgress } from 'nest-async-engine/migrations';
import { LogLines } from '../support/doubles/log-lines.js';
import { createDatabase, type TestDatabase } from '../support/server/postgres.js';
import { failureOf } from '../support/items.js';

let database: TestDatabase;
let engine: AsyncEngine;
let dir: string;
let log: LogLines;

beforeEach(async () => {
  database = await createDatabase('migrations');
  log = new LogLines();
  engine = createAsyncEngine(database.url, { logger: log });
  dir = await mkdtemp(path.join(tmpdir(), 'migrations-'));
});

afterEach(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.aclose();
  await database.drop();
  await rm(dir, { recursive: true });
});

const write = (files: Readonly<Record<string, string>>): Promise<unknown> =>
  Promise.all(Object.entries(files).map(([name, text]) => writeFile(path.join(dir, name), text)));
const has = async (table: string): Promise<boolean> =>
  (await database.query('SELECT to_regclass($1) IS NOT NULL AS yes', [table]))[0]?.['yes'] === true;
async function failureOfRun(): Promise<MigrationError> {
  const error = await failureOf(runMigrations(engine, { dir }));
  expect(error).toBeInstanceOf(MigrationError);
  return error as MigrationError;
}

const TWO = {
  '0001-items.sql': 'CREATE TABLE items (id int PRIMARY KEY);',
  '0002-rows.sql': 'INSERT INTO items VALUES (1); INSERT INTO items VALUES (2);',
};

describe('runMigrations', () => {
  it('runs each file once, in order, and gives the names of what it ran', async () => {
    await write(TWO);
    expect(await runMigrations(engine, { dir })).toEqual(Object.keys(TWO));
    expect(await runMigrations(engine, { dir })).toEqual([]);
    await write({ '0003-more.sql': 'INSERT INTO items VALUES (3)' });
    expect(await runMigrations(engine, { dir })).toEqual(['0003-more.sql']);
    expect(await database.query('SELECT id FROM items ORDER BY id')).toEqual([
      { id: 1 },
      { id: 2 },
      { id: 3 },
    ]);
  });

  it.each([
    ['a file URL', () => pathToFileURL(`${dir}/`)],
    ['the text of a file URL', () => pathToFileURL(dir).href],
    ['a path relative to the working directory', () => path.relative(process.cwd(), dir)],
  ])('takes %s for the folder', async (_, given) => {
    await write(TWO);
    expect(await runMigrations(engine, { dir: given() })).toHaveLength(2);
  });

  it('runs JavaScript and TypeScript beside SQL, and leaves other files alone', async () => {
    await write({
      '0001-a.sql': 'CREATE TABLE a (id int)',
      '0002-b.mjs': `export const up = (pgm) => { pgm.createTable('b', { id: 'id' }); };`,
      '0003-c.ts': `export async function up(pgm: { sql(text: string): void }): Promise<void> { pgm.sql('CREATE TABLE c (id int)'); }`,
      '0004-d.cjs': `exports.up = (pgm, done) => { pgm.sql('CREATE TABLE d (id int)'); setImmediate(done); };`,
      '0002-b.mjs.map': '{}',
      '0003-c.d.ts': 'export declare const up: unknown;',
      'README.md': '# Migrations',
    });
    expect(await runMigrations(engine, { dir })).toEqual([
      '0001-a.sql',
      '0002-b.mjs',
      '0003-c.ts',
      '0004-d.cjs',
    ]);
    for (const table of ['a', 'b', 'c', 'd']) expect(await has(table)).toBe(true);
  });

  it('gives a new file the shorthands of those that have run', async () => {
    const up = 'export const up = () => {};';
    await write({ '0001-types.mjs': `export const shorthands = { price: 'numeric(10,2)' }; ${up}` });
    await runMigrations(engine, { dir });
    await write({
      '0002-goods.mjs': `export const up = (pgm) => { pgm.createTable('goods', { price: 'price' }); };`,
    });
    expect(await runMigrations(engine, { dir })).toEqual(['0002-goods.mjs']);
  });

  it('runs them on one of two instances that start at once; the other waits and finds nothing to do', async () => {
    await write({ '0001-slow.sql': 'SELECT pg_sleep(0.5); CREATE TABLE slow (id int)' });
    await using other = createAsyncEngine(database.url, { logger: log, lockTimeout: 50 });
    const ran = await Promise.all([runMigrations(engine, { dir }), runMigrations(other, { dir })]);
    expect(ran.flat()).toEqual(['0001-slow.sql']);
    expect(log.take().filter((line) => line.includes('waiting for another instance'))).toHaveLength(1);
  });

  it('builds an index concurrently while another instance waits', async () => {
    await write({
      '0001-items.sql': TWO['0001-items.sql'],
      '0002-index.mjs': `export const up = (pgm) => {
        pgm.noTransaction();
        pgm.sql('SELECT pg_sleep(0.5)');
        pgm.sql('CREATE INDEX CONCURRENTLY items_id ON items (id)');
      };`,
    });
    await using other = createAsyncEngine(database.url, { logger: log });
    const ran = await Promise.all([runMigrations(engine, { dir }), runMigrations(other, { dir })]);
    expect(ran.flat()).toEqual(['0001-items.sql', '0002-index.mjs']);
    expect(await has('items_id')).toBe(true);
  });

  it('ends its wait for another instance with the signal', async () => {
    await write(TWO);
    const holder = await engine.connect();
    await holder.execute(sql`SELECT pg_advisory_lock(7241865325823964)`);
    const controller = new AbortController();
    const waiting = runMigrations(engine, { dir, signal: controller.signal });
    await expect.poll(() => log.take().join()).toContain('waiting for another instance');
    controller.abort(new RangeError('enough'));
    await expect(waiting).rejects.toThrow(/enough|aborted/);
    holder.invalidate();
    await holder.close();
    expect(await has('items')).toBe(false);
  });

  it('tells of each file as it begins, and of the end', async () => {
    await write(TWO);
    const events: MigrationProgress[] = [];
    await runMigrations(engine, { dir, onProgress: (progress) => void events.push(progress) });
    expect(events).toEqual([
      { file: '0001-items.sql', done: 0, total: 2 },
      { file: '0002-rows.sql', done: 1, total: 2 },
      { file: undefined, done: 2, total: 2 },
    ]);
    expect(log.take().filter((line) => line.startsWith('migrations:'))).toEqual([
      'migrations: 1 of 2, 0001-items.sql',
      'migrations: 2 of 2, 0002-rows.sql',
      'migrations: 2 of 2 have run',
    ]);
    await runMigrations(engine, { dir, onProgress: () => expect.unreachable('there is nothing to run') });
  });

  it('keeps its tables in the schema, makes it, and leaves no search_path behind', async () => {
    await write(TWO);
    await using one = createAsyncEngine(database.url, {
      poolSize: 1,
      maxOverflow: 0,
      poolResetOnReturn: null,
    });
    const before = await one.scalar(sql`SHOW search_path`);
    await runMigrations(one, { dir, schema: 'Shop', table: 'steps' });
    expect(await has('"Shop".steps')).toBe(true);
    expect(await has('"Shop".steps_checksums')).toBe(true);
    expect(await has('"Shop".items')).toBe(true);
    expect(await one.scalar(sql`SHOW search_path`)).toBe(before);
    expect(await runMigrations(one, { dir, schema: 'Shop', table: 'steps' })).toEqual([]);
  });

  it('asks a role that may create nothing for no rights where there is nothing to run', async () => {
    await write(TWO);
    await runMigrations(engine, { dir });
    const role = `reader_${database.name}`;
    await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'x'`);
    await database.query(`GRANT SELECT ON pgmigrations, pgmigrations_checksums TO ${role}`);
    const url = new URL(database.url);
    url.username = role;
    url.password = 'x';
    await using reader = createAsyncEngine(url.href);
    expect(await runMigrations(reader, { dir })).toEqual([]);
    await reader.aclose();
    await database.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });

  it('works on PGlite, which keeps its tables', async () => {
    await write(TWO);
    await using lite = createAsyncEngine('postgresql+pglite://', { logger: log });
    expect(await runMigrations(lite, { dir })).toHaveLength(2);
    expect(await runMigrations(lite, { dir })).toEqual([]);
    expect(await lite.scalar(sql`SELECT count(*)::int FROM items`)).toBe(2);
  });
});

describe('a migration that fails', () => {
  it('is named, and nothing of the run is stored', async () => {
    await write({ ...TWO, '0003-broken.sql': 'CREATE TABLE late (id int); INSERT INTO nowhere VALUES (1)' });
    const error = await failureOfRun();
    expect(error.file).toBe('0003-broken.sql');
    expect(error.message).toMatch(/0003-broken\.sql.*"nowhere" does not exist.*rolled back/);
    expect(error.cause).toMatchObject({ code: '42P01' });
    for (const table of ['items', 'late', 'public.nowhere']) expect(await has(table)).toBe(false);
    await write({ '0003-broken.sql': 'CREATE TABLE late (id int)' });
    expect(await runMigrations(engine, { dir })).toHaveLength(3);
  });

  it('outside of a transaction leaves what ran before it, and says so', async () => {
    await write({
      ...TWO,
      '0003-alone.mjs': `export const up = (pgm) => { pgm.noTransaction(); pgm.sql('SELECT nothing'); };`,
    });
    const error = await failureOfRun();
    expect(error.file).toBe('0003-alone.mjs');
    expect(error.message).toContain('left the transaction');
    await rm(path.join(dir, '0003-alone.mjs'));
    await write({ '0003-other.sql': 'SELECT 1' });
    expect(await runMigrations(engine, { dir })).toEqual(['0003-other.sql']);
  });

  it.each([
    ['cannot be parsed', 'export const up = (', /cannot be loaded/],
    ['exports no up', 'export const down = () => {};', /no function 'up'/],
    ['throws', `export const up = () => { throw new RangeError('mine'); };`, /mine/],
  ])('is named when its script %s', async (_, script, message) => {
    await write({ ...TWO, '0003-script.mjs': script });
    const error = await failureOfRun();
    expect(error.file).toBe('0003-script.mjs');
    expect(error.message).toMatch(message);
    expect(await has('items')).toBe(false);
  });
});

describe('a file that has run', () => {
  beforeEach(async () => {
    await write(TWO);
    await runMigrations(engine, { dir });
  });

  it('is refused when it was changed, and named', async () => {
    await write({
      '0001-items.sql': 'CREATE TABLE items (id bigint PRIMARY KEY);',
      '0003-more.sql': 'SELECT 1',
    });
    const error = await failureOfRun();
    expect(error.file).toBe('0001-items.sql');
    expect(error.message).toContain('was changed after it ran');
    expect(await database.query('SELECT count(*)::int AS n FROM pgmigrations')).toEqual([{ n: 2 }]);
  });

  it('is the same with other line breaks', async () => {
    await write({ '0003-lines.sql': 'SELECT 1;\nSELECT 2;\n' });
    await runMigrations(engine, { dir });
    await write({ '0003-lines.sql': 'SELECT 1;\r\nSELECT 2;\r\n' });
    expect(await runMigrations(engine, { dir })).toEqual([]);
  });

  it('is refused when it was removed or renamed', async () => {
    await rename(path.join(dir, '0002-rows.sql'), path.join(dir, '0002-lines.sql'));
    const error = await failureOfRun();
    expect(error.file).toBe('0002-rows');
    expect(error.message).toContain('no file of this name any more');
  });

  it('is refused when a new file stands before it', async () => {
    await write({ '0001-late.sql': 'SELECT 1' });
    const error = await failureOfRun();
    expect(error.file).toBe('0001-late.sql');
    expect(error.message).toContain("stands before '0002-rows.sql'");
  });

  it('gets its checksum where node-pg-migrate ran it without one', async () => {
    await database.query('DROP TABLE pgmigrations_checksums');
    expect(await runMigrations(engine, { dir })).toEqual([]);
    await write({ '0001-items.sql': 'SELECT 1' });
    expect((await failureOfRun()).file).toBe('0001-items.sql');
  });

  it('may be changed when the row of its checksum is deleted', async () => {
    await write({ '0001-items.sql': '-- the same table\nCREATE TABLE items (id int PRIMARY KEY);' });
    await database.query("DELETE FROM pgmigrations_checksums WHERE name = '0001-items'");
    expect(await runMigrations(engine, { dir })).toEqual([]);
  });
});

describe('a wrong option', () => {
  it.each([
    ['no folder', {}, /no 'dir'/],
    ['an empty folder name', { dir: '' }, /'dir' must be/],
    ['a URL of the web', { dir: new URL('http://localhost/') }, /'dir' must be/],
    ['a folder that is not there', { dir: '/nowhere/at/all' }, /cannot be read/],
    ['a table with quotes', { dir: '.', table: `a'b` }, /'table' must be/],
    ['a table that the server would cut off', { dir: '.', table: 'ä'.repeat(30) }, /'table' must be/],
    ['an unknown name', { dir: '.', tabel: 'a' }, /did you mean 'table'/],
  ])('is refused before anything is sent: %s', async (_, options, message) => {
    const refused = runMigrations(engine, options as { dir: string });
    await expect(refused).rejects.toBeInstanceOf(ArgumentError);
    await expect(refused).rejects.toThrow(message);
    expect(await database.sessions()).toEqual([]);
  });

  it('is two files of one name', async () => {
    await write({ '0001-a.sql': 'SELECT 1', '0001-a.mjs': 'export const up = () => {};' });
    await expect(runMigrations(engine, { dir })).rejects.toThrow(/have one name/);
  });
});
