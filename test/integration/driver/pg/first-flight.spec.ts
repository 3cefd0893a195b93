import pg from 'pg';
import { createAsyncEngine, text, type AsyncEngine, type AsyncEngineOptions } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { LogLines } from '../../../support/doubles/log-lines.js';
import { failureOf } from '../../../support/items.js';
import { startFaultyProxy, type FaultyProxy } from '../../../support/server/faulty-proxy.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';

const spell = (value: string): string => `<${value}>`;

const EVERYTHING: AsyncEngineOptions = {
  settings: { role: 'pg_read_all_data', search_path: 'shop' },
  statementTimeout: 10_000,
  lockTimeout: 5_000,
  idleInTransactionTimeout: 20_000,
  applicationName: 'everything',
  types: { mood: spell },
};

let database: TestDatabase;
let proxy: FaultyProxy;

beforeAll(async () => {
  database = await createDatabase('first_flight');
  await database.query(`
    CREATE SCHEMA shop;
    CREATE TYPE public.mood AS ENUM ('glad');
    CREATE TYPE shop.mood AS ENUM ('sad');
    GRANT USAGE ON SCHEMA shop TO PUBLIC`);
});
beforeEach(async () => {
  proxy = await startFaultyProxy(database.url);
});
afterEach(() => proxy.close());
afterAll(() => database.drop());

function open(options: AsyncEngineOptions): AsyncEngine {
  const engine = createAsyncEngine(proxy.url, { poolSize: 2, maxOverflow: 0, ...options });
  onTestFinished(async () => {
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
  });
  return engine;
}

/** What `pg` takes to connect and to ask. */
async function roundTripsOfPg(): Promise<number> {
  proxy.reset();
  const client = new pg.Client(proxy.url);
  await client.connect();
  await client.query('SELECT 1');
  const { roundTrips } = proxy;
  await client.end();
  return roundTrips;
}

it.each<[name: string, options: AsyncEngineOptions]>([
  ['settings, time limits, a role and types by name', EVERYTHING],
  ['the question how a COMMIT ended, too', { ...EVERYTHING, commitOutcome: 'resolve' }],
  ['types by name alone', { types: { 'shop.mood': spell } }],
])('a session with %s takes one round trip more than one of pg, each time', async (_, options) => {
  const plain = await roundTripsOfPg();
  const engine = open(options);
  proxy.reset();
  await engine.connect(async (first) => {
    await first.execute(text('SELECT 1'));
    expect(proxy.roundTrips).toBe(plain + 1);
    proxy.reset();
    await engine.execute(text('SELECT 1'));
    expect(proxy.roundTrips).toBe(plain + 1);
  });
});

it('a name stands for what the search_path in the same flight says', async () => {
  const engine = open(EVERYTHING);
  const row = await engine
    .execute(text("SELECT 'sad'::shop.mood AS own, 'glad'::public.mood AS other"))
    .one();
  expect(row).toEqual({ own: '<sad>', other: 'glad' });
});

it('a type that was dropped and created anew is read by its rule in the next session', async () => {
  await database.query("CREATE TYPE shop.size AS ENUM ('small')");
  const engine = open({ types: { 'shop.size': spell } });
  const size = text("SELECT 'small'::shop.size");
  await engine.connect(async (first) => {
    expect(await first.scalar(size)).toBe('<small>');
    await database.query("DROP TYPE shop.size; CREATE TYPE shop.size AS ENUM ('small')");
    expect(await engine.scalar(size)).toBe('<small>');
  });
});

describe('what is refused is named, and nothing is left', () => {
  it.each<[what: string, options: AsyncEngineOptions, message: RegExp]>([
    ['a value of a setting', { settings: { work_mem: 'much' } }, /work_mem/],
    ['a setting', { settings: { no_such_setting: '1' } }, /no_such_setting/],
    ['a role', { settings: { role: 'nobody_here' } }, /nobody_here/],
    ['a type', { types: { no_such_type: spell } }, /the database has no type 'no_such_type'/],
  ])('%s', async (_, options, message) => {
    for (const commitOutcome of ['report', 'resolve'] as const) {
      const engine = open({ types: { mood: spell }, ...options, commitOutcome });
      expect(await failureOf(engine.execute(text('SELECT 1')))).toMatchObject({
        message: expect.stringMatching(message),
      });
      expect(engine.pool.checkedIn()).toBe(0);
    }
  });
});

it('settings and types hold where the server can not say how a COMMIT ended', async () => {
  await database.query('REVOKE EXECUTE ON FUNCTION pg_catalog.pg_control_system() FROM PUBLIC');
  const logger = new LogLines();
  const engine = open({ ...EVERYTHING, commitOutcome: 'resolve', logger });
  const row = await engine.execute(text("SELECT current_user AS who, 'sad'::mood AS mood")).one();
  expect(row).toEqual({ who: 'pg_read_all_data', mood: '<sad>' });
  expect(logger.take()).toEqual([expect.stringMatching(/commitOutcome: 'resolve' has no effect/)]);
});
