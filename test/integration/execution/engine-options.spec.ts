import { once } from 'node:events';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  CompiledCache,
  ConnectError,
  InterfaceError,
  NullPool,
  sql,
  text,
} from 'nest-async-engine/engine';
import { createAsyncEngine, createAsyncPoolFromUrl } from 'nest-async-engine/engine';
import type { AsyncEngine, AsyncEngineOptions } from 'nest-async-engine/engine';
import { LogLines } from '../../support/doubles/log-lines.js';
import { Latch } from '../../support/process/barrier.js';
import { failureOf, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
let logger: LogLines;

beforeAll(async () => {
  items = await ItemDatabase.open('settings');
});
beforeEach(() => {
  logger = new LogLines();
  engine = items.engine({ logger });
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const one = text('SELECT 1 AS one');

describe('pool', () => {
  it('uses a pool that exists already', async () => {
    const pool = createAsyncPoolFromUrl(items.database.url, { poolSize: 2 });
    const other = createAsyncEngine(items.database.url, { pool });
    expect(await other.scalar(one)).toBe(1);
    expect(other.pool).toBe(pool);
    await other.aclose();
  });

  it.each([
    ['what is no pool', () => ({ pool: {} }) as AsyncEngineOptions],
    ['other options of a pool', () => ({ pool: engine.pool, poolSize: 3 })],
    ['a class of pools beside it', () => ({ pool: engine.pool, poolClass: NullPool })],
  ])('refuses %s', (_, options) => {
    expect(() => createAsyncEngine(items.database.url, options())).toThrow(ArgumentError);
  });

  it('refuses a pool that was disposed', async () => {
    const pool = createAsyncPoolFromUrl(items.database.url);
    await pool.dispose();
    expect(() => createAsyncEngine(items.database.url, { pool })).toThrow(ArgumentError);
  });
});

describe('asyncCreator', () => {
  it('refuses creator, alone and beside it', () => {
    const creator = { creator: () => undefined } as AsyncEngineOptions;
    const both = { ...creator, asyncCreator: () => Promise.resolve(undefined) };
    for (const options of [creator, both])
      expect(() => createAsyncEngine(items.database.url, options)).toThrow(ArgumentError);
  });

  it('refuses what is no connected client', async () => {
    const other = items.engine({ asyncCreator: () => Promise.resolve({}) });
    expect(await failureOf(other.execute(one))).toBeInstanceOf(InterfaceError);
  });
});

describe('the wait for asyncCreator', () => {
  it('ends with connectTimeout, frees its place in the pool, and ends the client that comes later', async () => {
    const mayCreate = new Latch();
    let calls = 0;
    const late = new pg.Client(items.database.url);
    const asyncCreator = async (): Promise<pg.Client> => {
      calls += 1;
      const client = calls === 1 ? late : new pg.Client(items.database.url);
      if (calls === 1) await mayCreate.opened;
      await client.connect();
      return client;
    };
    const other = items.engine({ asyncCreator, connectTimeout: 100, poolSize: 1, maxOverflow: 0 });
    const error = await failureOf(other.execute(one));
    expect(error).toBeInstanceOf(ConnectError);
    expect(String(error)).toContain('asyncCreator gave no client within 100 ms (connectTimeout)');
    expect(await other.scalar(one)).toBe(1);
    const ended = once(late, 'end');
    mayCreate.open();
    await ended;
  });
});

describe('options that are objects of names', () => {
  it.each<[keyof AsyncEngineOptions, unknown]>([
    ['types', new Map([['int8', 'bigint']])],
    ['types', new Date()],
    ['connectArgs', new Map([['host', 'nowhere']])],
  ])('refuse what has none: %s', (option, value) => {
    const open = (): AsyncEngine => createAsyncEngine(items.database.url, { [option]: value });
    expect(open).toThrow(ArgumentError);
    expect(open).toThrow(`'${option}' must be a plain object`);
  });
});

describe('applicationName', () => {
  it('has no NUL, which the server would refuse at each connect', () => {
    const open = (): AsyncEngine => createAsyncEngine(items.database.url, { applicationName: 'shop\0' });
    expect(open).toThrow(ArgumentError);
  });
});

describe('echo', () => {
  it('is a property that can be set at any time, and refuses what it does not take', async () => {
    await engine.execute(one);
    engine.echo = true;
    await engine.execute(one);
    engine.echo = false;
    await engine.execute(one);
    expect(logger.take()).toEqual(['SELECT 1 AS one', '[cached since …s ago] []']);
    expect(() => {
      engine.echo = 'loud' as 'debug';
    }).toThrow(ArgumentError);
  });

  it('marks what has no key, and what is not cached', async () => {
    engine.echo = true;
    await engine.execute({ text: 'SELECT 1', values: [] });
    await engine.execute(one, undefined, { compiledCache: null });
    const marks = logger.lines.flatMap(({ fields }) => fields?.['mark'] ?? []);
    expect(marks.map((mark) => String(mark).replace(/ [\d.]+s$/, ''))).toEqual([
      'no key',
      'caching disabled',
    ]);
  });

  it('refuses a word that it does not take, and an unknown type of hideParameters', () => {
    for (const options of [
      { echo: 'loud' },
      { echoPool: 1 },
      { hideParameters: 'yes' },
      { slowStatementThreshold: -1 },
    ])
      expect(() => createAsyncEngine(items.database.url, options as AsyncEngineOptions)).toThrow(
        ArgumentError,
      );
  });
});

describe('slowStatementThreshold', () => {
  it('warns of a slow statement with the place that executed it, and of no other', async () => {
    const watching = items.engine({ logger, slowStatementThreshold: 100 });
    await watching.execute(one);
    await watching.execute(text('SELECT pg_sleep(0.15)'));
    expect(logger.lines).toMatchObject([
      { level: 'warn', message: expect.stringMatching(/slow statement: \d+ ms.*engine-options\.spec\.ts/) },
    ]);
    expect(logger.lines[0]?.fields).toMatchObject({ event: 'slowStatement', sql: 'SELECT pg_sleep(0.15)' });
  });
});

describe('statements', () => {
  it('keeps compiled statements where compiledCache says, and counts', async () => {
    const cache = new CompiledCache(10);
    const statement = text('SELECT :n::int');
    for (const n of [1, 2, 3]) await engine.execute(statement, { n }, { compiledCache: cache });
    expect([cache.hits, cache.misses, cache.size, engine.compiledCache.size]).toEqual([2, 1, 1, 0]);
  });

  it('translates schemas of identifiers, by the nearest map', async () => {
    const mapped = engine.executionOptions({ schemaTranslateMap: { tenant: 'nowhere' } });
    const statement = sql`SELECT count(*)::int FROM ${sql.id('tenant', 'item')}`;
    expect(await mapped.scalar(statement, undefined, { schemaTranslateMap: { tenant: 'public' } })).toBe(0);
    expect(String(await failureOf(mapped.execute(statement)))).toContain('"nowhere"."item"');
  });

  it('sends an executemany in pages of insertmanyvaluesPageSize', async () => {
    const paged = items.engine({ insertmanyvaluesPageSize: 2 });
    const sets = ['a', 'b', 'c', 'd', 'e'].map((name) => ({ name }));
    const result = await paged.execute(text('INSERT INTO item (name) VALUES (:name) RETURNING name'), sets);
    expect([result.rowCount, result.all().length]).toEqual([5, 5]);
    const wrong = { insertmanyvaluesPageSize: 0 };
    expect(await failureOf(paged.execute(one, undefined, wrong))).toBeInstanceOf(ArgumentError);
  });

  it('stores no page of an executemany when a later one fails', async () => {
    const paged = items.engine({ insertmanyvaluesPageSize: 1 });
    const sets = [{ name: 'a' }, { name: 'a' }];
    await failureOf(paged.execute(text('INSERT INTO item (name) VALUES (:name)'), sets));
    expect(await items.names()).toEqual([]);
  });
});

describe('dialect', () => {
  it('is on engine and connection, with the level that transactions have by default', async () => {
    const connection = await engine.executionOptions({ isolationLevel: 'SERIALIZABLE' }).connect();
    expect([engine.dialect, connection.dialect]).toEqual([
      { name: 'postgresql', driver: 'pg' },
      { name: 'postgresql', driver: 'pg' },
    ]);
    expect(await connection.defaultIsolationLevel).toBe('READ COMMITTED');
    expect(await connection.getIsolationLevel()).toBe('SERIALIZABLE');
    await connection.close();
  });
});
