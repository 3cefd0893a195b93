import {
  ArgumentError,
  AssertionPool,
  createAsyncEngine,
  createAsyncPoolFromUrl,
  DatabaseUrl,
  makeUrl,
  NullPool,
  StaticPool,
} from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { resolvePoolOptions } from '../../lib/engine/pool/pool-options.js';
import { createDatabase, type TestDatabase } from '../support/server/postgres.js';
import { failureOf } from '../support/items.js';

/* The rows of PU and PG, and of appendix B, that test/unit/url*.spec.ts do not hold under their ID already. */

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase('urls');
});

afterEach(() => vi.unstubAllEnvs());
afterAll(() => database.drop());

describe('what the URL and connectArgs say reaches the driver', () => {
  it.each([
    ['the query of the URL', '?application_name=from-url', {}, 'from-url'],
    ['connectArgs', '', { application_name: 'from-args' }, 'from-args'],
    [
      'connectArgs before the URL',
      '?application_name=from-url',
      { application_name: 'from-args' },
      'from-args',
    ],
    ['options of the query', '?options=-c%20application_name%3Dfrom-options', {}, 'from-options'],
  ])('PU-12: %s', async (_, query, connectArgs, expected) => {
    const engine = createAsyncEngine(`${database.url}${query}`, { connectArgs });
    expect(await engine.execDriverSql('SHOW application_name').scalar()).toBe(expected);
    await engine.aclose();
  });

  it.each([
    ['nothing', 'postgresql://', 'env.invalid:7'],
    ['a host', 'postgresql://127.0.0.1', '127.0.0.1:7'],
    ['a query', 'postgresql://?host=127.0.0.1&port=1', '127.0.0.1:1'],
    ['a host that the query replaces', 'postgresql://other.invalid/d?host=127.0.0.1:1', '127.0.0.1:1'],
    ['a host and the port of the query', 'postgresql://127.0.0.1/d?port=1', '127.0.0.1:1'],
  ])('PG-03: with %s in the URL', async (_, url, place) => {
    vi.stubEnv('PGHOST', 'env.invalid');
    vi.stubEnv('PGPORT', '7');
    const engine = createAsyncEngine(url);
    const error = (await failureOf(engine.connect())) as Error;
    expect(error.message).toContain(`cannot connect to ${place}:`);
    await engine.aclose();
  });
});

describe('options of the pool', () => {
  it.each(['rollback', 'commit', null] as const)('PU-15: poolResetOnReturn takes %s', (mode) => {
    expect(resolvePoolOptions({ poolResetOnReturn: mode }).poolResetOnReturn).toBe(mode);
  });

  it.each([true, false, 'none', 'hi'])(
    'PU-15: poolResetOnReturn does not take %s, for there is a word for it',
    (mode) => {
      const make = (): unknown => createAsyncEngine(database.url, { poolResetOnReturn: mode as never });
      expect(make).toThrow(ArgumentError);
    },
  );

  it('PU-20: reach the pool', async () => {
    const engine = createAsyncEngine(database.url, { poolRecycle: 50, poolSize: 7, poolUseLifo: true });
    expect(engine.pool.options).toMatchObject({ poolRecycle: 50, poolSize: 7, poolUseLifo: true });
    await engine.aclose();
  });

  it.each([NullPool, StaticPool, AssertionPool])(
    'PU-20: those of the QueuePool are refused for %o',
    (poolClass) => {
      const make = (): unknown => createAsyncEngine(database.url, { poolClass, poolSize: 5, maxOverflow: 1 });
      expect(make).toThrow(ArgumentError);
      expect(make).toThrow(/^poolSize, maxOverflow has no effect on a \w+/);
    },
  );

  it('PU-20: those that every pool has are not', async () => {
    const engine = createAsyncEngine(database.url, {
      poolClass: NullPool,
      poolRecycle: 50,
      poolResetOnReturn: null,
    });
    expect(engine.pool.options.poolRecycle).toBe(50);
    await engine.aclose();
  });

  it('PU-22: createAsyncPoolFromUrl makes a pool of the class that the engine would have', async () => {
    const engine = createAsyncEngine(database.url);
    const pool = createAsyncPoolFromUrl(database.url, { poolSize: 3 });
    expect([pool.constructor, pool.size()]).toEqual([engine.pool.constructor, 3]);
    await using loan = await pool.connect();
    expect(loan.isValid).toBe(true);
    await loan.close();
    await Promise.all([engine.aclose(), pool.dispose()]);
  });
});

describe('appendix B', () => {
  const url = makeUrl('postgresql://h/d?p=1&q=2&q=3');

  it('set(query={}) removes the query', () => {
    expect(String(url.set({ query: {} }))).toBe('postgresql://h/d');
  });

  it("set(port='77') is the number", () => {
    expect(url.set({ port: '77' }).port).toBe(77);
    expect(() => url.set({ port: 'x' })).toThrow(ArgumentError);
  });

  it("set(host='') is written as no host", () => {
    expect([url.set({ host: '' }).host, String(url.set({ host: '' }))]).toEqual([
      '',
      'postgresql:///d?p=1&q=2&q=3',
    ]);
  });

  it("set(password='p') without a user is kept and not written", () => {
    const changed = url.set({ password: 'p' });
    expect([changed.password, changed.renderAsString({ hidePassword: false })]).toEqual([
      'p',
      'postgresql://h/d?p=1&q=2&q=3',
    ]);
  });

  it('the fields of a URL are written encoded', () => {
    const made = DatabaseUrl.create({
      drivername: 'postgresql',
      username: 'a b',
      password: 'x/y',
      host: '::1',
      port: 1,
      database: 'd/e',
      query: { k: ['1', '2'] },
    });
    expect(made.renderAsString({ hidePassword: false })).toBe('postgresql://a b:x%2Fy@[::1]:1/d/e?k=1&k=2');
  });
});
