import { createAsyncEngine, text, type AsyncEngine } from 'nest-async-engine/engine';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('left_open');
  await database.query('CREATE TABLE item (v text)');
});
afterAll(() => database.drop());

const INSERT = text("INSERT INTO item VALUES ('acknowledged')");

/** Ways in which a session comes to the pool in a transaction that it did not begin. */
const WAYS: readonly (readonly [string, () => Promise<AsyncEngine>])[] = [
  [
    'asyncCreator',
    async () =>
      createAsyncEngine(database.url, {
        asyncCreator: async () => {
          const client = new pg.Client({ connectionString: database.url });
          await client.connect();
          await client.query("BEGIN; INSERT INTO item VALUES ('not ours')");
          return client;
        },
      }),
  ],
  [
    'a listener of connect',
    async () => {
      const engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0 });
      engine.on('connect', async ({ driverConnection }) => {
        await (driverConnection as pg.Client).query("BEGIN; INSERT INTO item VALUES ('not ours')");
      });
      return engine;
    },
  ],
  [
    'a raw client that came back',
    async () => {
      const engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0 });
      const raw = await engine.rawConnection();
      await (raw.driverConnection as pg.Client).query("BEGIN; INSERT INTO item VALUES ('not ours')");
      await raw.close();
      return engine;
    },
  ],
];

describe.each(WAYS)('a session that %s has left in a transaction', (_name, open) => {
  it.each<[string, (engine: AsyncEngine) => Promise<unknown>]>([
    ['a statement that commits itself', async (engine) => engine.execute(INSERT)],
    ['a transaction', (engine) => engine.transaction(() => engine.execute(INSERT))],
    ['a connection', (engine) => engine.begin((connection) => connection.execute(INSERT))],
    ['a batch', (engine) => engine.batch([INSERT])],
    [
      'AUTOCOMMIT',
      async (engine) => engine.executionOptions({ isolationLevel: 'AUTOCOMMIT' }).execute(INSERT),
    ],
  ])('is rolled back before %s: what is acknowledged is stored, and nothing else', async (_work, run) => {
    const engine = await open();
    await run(engine);
    expect(await database.query('SELECT v FROM item')).toEqual([{ v: 'acknowledged' }]);
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
    await database.query('TRUNCATE item');
  });
});
