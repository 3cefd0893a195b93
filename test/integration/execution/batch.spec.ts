import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  createAsyncEngine,
  IllegalStateError,
  sql,
  text,
  UniqueViolationError,
} from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { failureOf } from '../../support/items.js';
import { startFaultyProxy, type FaultyProxy } from '../../support/server/faulty-proxy.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';

let database: TestDatabase;
let proxy: FaultyProxy;
let engine: AsyncEngine;

beforeAll(async () => {
  database = await createDatabase('batch');
  await database.query('CREATE TABLE item (id int PRIMARY KEY)');
});
beforeEach(async () => {
  await database.query('TRUNCATE item');
  proxy = await startFaultyProxy(database.url);
  engine = createAsyncEngine(proxy.url, { poolSize: 1, maxOverflow: 0 });
});
afterEach(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.aclose();
  await proxy.close();
});
afterAll(() => database.drop());

const save = (id: number) => sql<{ id: number }>`INSERT INTO item VALUES (${id}) RETURNING id`;
const saved = async () =>
  (await database.query<{ id: number }>('SELECT id FROM item ORDER BY id')).map(({ id }) => id);

describe('a batch', () => {
  it('gives a result for each statement, those of the same text among them', async () => {
    const [one, first, second, count] = await engine.batch([
      text<{ n: number }>('SELECT :n::int AS n').bindparams({ n: 7 }),
      save(1),
      save(2),
      sql<{ count: number }>`SELECT count(*)::int AS count FROM item`,
    ]);
    expect([one.one().n, first.one(), second.one(), count.one()]).toEqual([
      7,
      { id: 1 },
      { id: 2 },
      { count: 2 },
    ]);
    expect([first.rowCount, first.fields]).toEqual([1, [{ name: 'id', typeOid: 23 }]]);
  });

  it('takes one round trip on a connection, BEGIN included', async () => {
    await using connection = await engine.connect();
    const run = () => connection.batch([save(1), save(2), sql`SELECT 1`]);
    await run();
    await connection.rollback();
    proxy.reset();
    await run();
    expect(proxy.roundTrips).toBe(1);
    expect(proxy.messages.filter(({ from, type }) => from === 'client' && type === 'Sync')).toHaveLength(1);
    await connection.commit();
    expect(await saved()).toEqual([1, 2]);
  });

  it('takes one round trip on the engine, and is stored', async () => {
    await engine.batch([save(1), save(2)]);
    proxy.reset();
    await engine.batch([save(3), save(4)]);
    expect([proxy.roundTrips, await saved()]).toEqual([1, [1, 2, 3, 4]]);
  });

  it('is ended by the first statement that fails, and nothing of it is stored', async () => {
    const failure = await failureOf(engine.batch([save(1), save(1), save(2)]));
    expect(failure).toBeInstanceOf(UniqueViolationError);
    expect(await saved()).toEqual([]);
  });

  it('fails the transaction that it runs in', async () => {
    const failure = await failureOf(
      engine.transaction(async () => {
        await engine.batch([save(1), sql`SELECT 1 / 0`, save(2)]).catch(() => undefined);
        await engine.execute(save(3));
      }),
    );
    expect(String(failure)).toMatch(/aborted|division by zero/);
    expect(await saved()).toEqual([]);
  });

  it('runs in the active transaction of the caller', async () => {
    const failure = await failureOf(
      engine.transaction(async () => {
        const [, count] = await engine.batch([
          save(1),
          sql<{ n: number }>`SELECT count(*)::int AS n FROM item`,
        ]);
        throw new RangeError(String(count.one().n));
      }),
    );
    expect([(failure as Error).message, await saved()]).toEqual(['1', []]);
  });

  it('tells listeners of each statement, with its own row count', async () => {
    const seen: unknown[] = [];
    engine.on('afterCursorExecute', ({ sql: statement, rowCount }) => void seen.push([statement, rowCount]));
    engine.on('afterExecute', ({ rowCount }) => void seen.push(rowCount));
    engine.on('beforeCursorExecute', ({ sql: statement }) =>
      statement === 'SELECT 1' ? { sql: 'SELECT 1 UNION SELECT 2' } : undefined,
    );
    const [, two] = await engine.batch([save(1), sql`SELECT 1`]);
    expect(two.all()).toHaveLength(2);
    expect(seen).toEqual([
      ['SELECT 1 UNION SELECT 2', 2],
      ['INSERT INTO item VALUES ($1) RETURNING id', 1],
      1,
      2,
    ]);
  });

  it('refuses transaction control in any place, and what is no list, before anything is sent', async () => {
    await engine.execute(sql`SELECT 1`);
    proxy.reset();
    expect(await failureOf(engine.batch([save(1), sql`COMMIT`]))).toBeInstanceOf(IllegalStateError);
    expect(await failureOf(engine.batch('SELECT 1' as never))).toBeInstanceOf(ArgumentError);
    expect([await engine.batch([]), proxy.roundTrips]).toEqual([[], 0]);
  });
});

describe('a batch on PGlite', () => {
  it('gives a result for each statement, and is undone whole where one fails', async () => {
    const pglite = createAsyncEngine('postgresql+pglite://');
    try {
      await pglite.execute(sql`CREATE TABLE item (id int PRIMARY KEY)`);
      const [first, second] = await pglite.batch([save(1), sql<{ n: number }>`SELECT 2 AS n`]);
      expect([first.one(), second.one()]).toEqual([{ id: 1 }, { n: 2 }]);
      expect(await failureOf(pglite.batch([save(2), save(1)]))).toBeInstanceOf(UniqueViolationError);
      await pglite.transaction(async () => {
        await pglite.batch([save(3), save(4)]);
        await failureOf(pglite.transaction(() => pglite.batch([save(5), save(1)])));
      });
      expect((await pglite.scalars(sql`SELECT id FROM item ORDER BY id`)).all()).toEqual([1, 3, 4]);
      expect(pglite.pool.checkedOut()).toBe(0);
    } finally {
      await pglite.aclose();
    }
  });
});
