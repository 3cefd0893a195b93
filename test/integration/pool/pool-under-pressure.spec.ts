import {
  ConnectError,
  createAsyncEngine,
  isTransient,
  PoolOverloadError,
  QueuePool,
  sql,
} from 'nest-async-engine/engine';
import type { AsyncEngine, AsyncEngineOptions } from 'nest-async-engine/engine';
import { asPool } from 'nest-async-engine/pg';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { failureOf } from '../../support/items.js';
import { eventually, Latch } from '../../support/process/barrier.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';
import { TestEngines } from '../../support/test-engines.js';

let database: TestDatabase;
const engines = new TestEngines();
const one = sql`SELECT 1 AS one`;
const silent = { log() {}, warn() {}, error() {}, debug() {}, verbose() {} };

function engineWith(options: AsyncEngineOptions = {}, url = database.url): AsyncEngine {
  return engines.add(createAsyncEngine(url, { poolSize: 1, maxOverflow: 0, logger: silent, ...options }));
}

beforeAll(async () => {
  database = await createDatabase('pressure');
});
afterEach(() => engines.end());
afterAll(() => database.drop());

describe('callers that wait', () => {
  it.each([
    [{ poolSize: 2, maxOverflow: 0 }, 100],
    [{ poolSize: 1, maxOverflow: 1 }, 100],
    [{ poolSize: 1, maxOverflow: 0, poolMaxWaiting: 3 }, 3],
  ])('are limited: with %o the next after %i is a PoolOverloadError', async (options, limit) => {
    const engine = engineWith(options);
    const holders = await Promise.all(
      Array.from({ length: engine.pool.options.poolSize + (options.maxOverflow ?? 0) }, () =>
        engine.connect(),
      ),
    );
    const waiting = Array.from({ length: limit }, () => engine.transaction(() => engine.execute(one)));
    await eventually(() => expect(engine.pool.waiting()).toBe(limit));
    await expect(engine.execute(one)).rejects.toBeInstanceOf(PoolOverloadError);
    await Promise.all(holders.map((holder) => holder.close()));
    await Promise.all(waiting);
  });

  it('are those alone for whom no connection can be opened: the first ones are served where none may wait', async () => {
    const engine = engineWith({ poolSize: 2, poolMaxWaiting: 0 });
    const opened = new Latch();
    engine.on('connect', () => opened.opened);
    const both = [engine.connect(), engine.connect()];
    await eventually(() => expect(engine.pool.waiting()).toBe(2));
    await expect(engine.execute(one)).rejects.toBeInstanceOf(PoolOverloadError);
    opened.open();
    for (const holder of await Promise.all(both)) await holder.close();
    expect(await engine.execute(one).one()).toEqual({ one: 1 });
  });

  it('wait for the connections that the pool has where the server takes no more, and that is said once a pause', async () => {
    await database.query("DROP ROLE IF EXISTS few; CREATE ROLE few LOGIN PASSWORD 'few' CONNECTION LIMIT 3");
    const url = new URL(database.url);
    url.username = 'few';
    url.password = 'few';
    const lines: string[] = [];
    const logger = { ...silent, warn: (line: string) => void lines.push(line) };
    const engine = engineWith({ poolSize: 10, logger }, url.href);
    const answers = Array.from({ length: 40 }, () => engine.execDriverSql('SELECT pg_sleep(0.01)'));
    expect((await Promise.allSettled(answers)).filter(({ status }) => status === 'rejected')).toEqual([]);
    const said = lines.filter((line) => line.includes('takes no more connections')).length;
    expect(said).toBeGreaterThan(0);
    // A pause is a second; the answers take a part of one where the machine is not busy.
    expect(said).toBeLessThan(5);
  });

  it('while the engine is disposed go on with the next pool', async () => {
    const engine = engineWith();
    const holder = await engine.connect();
    await holder.execute(one);
    const raw = async (): Promise<unknown> => {
      const pooled = await engine.rawConnection();
      await pooled.close();
      return undefined;
    };
    const ofPool = async (): Promise<unknown> => (await asPool(engine).query('SELECT 1 AS one')).rows[0];
    const waiting = [
      engine.execute(one).one(),
      engine.transaction(() => engine.execute(one).one()),
      raw(),
      engine.ping({ timeout: 20_000 }),
      ofPool(),
    ];
    await eventually(() => expect(engine.pool.waiting()).toBe(5));
    await engine.dispose();
    expect(await Promise.all(waiting)).toEqual([{ one: 1 }, { one: 1 }, undefined, undefined, { one: 1 }]);
    await holder.close();
  });
});

describe('the end of an engine', () => {
  it.each(['dispose', 'aclose', 'drain'] as const)(
    'is for good: %s() behind aclose() does not bring it back',
    async (end) => {
      const engine = engineWith();
      await engine.execute(one);
      await engine.aclose();
      await (end === 'drain' ? engine.drain(10) : engine[end]());
      await expect(engine.execute(one)).rejects.toThrow(/disposed/);
    },
  );

  it('comes to all that drain() finds on loan, whether or not they give back by themselves', async () => {
    const engine = engineWith({ poolSize: 6 });
    const work = Array.from({ length: 5 }, () => engine.execDriverSql('SELECT pg_sleep(20)'));
    const settled = Promise.allSettled(work);
    const holder = await engine.connect();
    await holder.execute(one);
    await eventually(() => expect(engine.pool.checkedOut()).toBe(6));
    await engine.drain(20);
    expect((await settled).map(({ status }) => status)).toEqual(work.map(() => 'rejected'));
    await eventually(async () => expect(await database.sessions()).toEqual([]));
    await holder.close();
  });
});

describe('a connection that the pool must not lend', () => {
  it('is replaced where a checkout listener invalidates it, for a caller that waits, too', async () => {
    const engine = engineWith();
    let checkouts = 0;
    engine.on('checkout', ({ pooled }) => {
      checkouts += 1;
      if (checkouts % 2 === 1) pooled.invalidate();
    });
    expect(await Promise.all([1, 2].map(() => engine.execute(one).one()))).toEqual([{ one: 1 }, { one: 1 }]);
    expect(checkouts).toBe(4);
  });

  it('that the server drops as soon as it is open is a failed connect, worth another attempt', async () => {
    const engine = engineWith();
    let drops = 1;
    engine.on('connect', async ({ driverConnection }) => {
      if ((drops -= 1) < 0) return;
      const client = driverConnection as pg.Client;
      const ended = new Promise((resolve) => client.once('end', resolve));
      await client.query('SELECT pg_terminate_backend(pg_backend_pid())').catch(() => undefined);
      await ended;
    });
    const failure = await failureOf(engine.execute(one));
    expect(failure).toBeInstanceOf(ConnectError);
    expect(isTransient(failure)).toBe(true);
    expect(await engine.execute(one).one()).toEqual({ one: 1 });
  });

  it('is not asked for without an end', async () => {
    const engine = engineWith();
    engine.on('checkout', ({ pooled }) => pooled.invalidate());
    await expect(engine.execute(one)).rejects.toThrow(/3 connections in a row/);
  });

  it('is the client of a pg.Pool, which gets it back', async () => {
    const pool = new pg.Pool({ connectionString: database.url });
    const engine = engineWith({ asyncCreator: () => pool.connect() });
    await expect(engine.execute(one)).rejects.toThrow(/client of a pg.Pool/);
    await pool.end();
  });
});

it('an engine keeps the pool class that it was given over dispose()', async () => {
  class CountingPool extends QueuePool {}
  const engine = engineWith({ poolClass: CountingPool });
  await engine.dispose();
  expect(engine.pool).toBeInstanceOf(CountingPool);
});
