import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  AssertionPool,
  createAsyncEngine,
  createAsyncPoolFromUrl,
  IllegalStateError,
  NullPool,
  PoolTimeoutError,
  QueuePool,
  StaticPool,
  text,
} from 'nest-async-engine/engine';
import type { AsyncEngine, PoolClass, PoolOptions } from 'nest-async-engine/engine';
import { failureOf } from '../support/items.js';
import { eventually } from '../support/process/barrier.js';
import { figures, UsersTable } from './support/users.js';

let users: UsersTable;
beforeAll(async () => {
  users = await UsersTable.open('pools');
});
afterEach(() => users.expectClean());
afterAll(() => users.close());

const one = text('SELECT 1');

/** Ten connections at once, one statement on each. */
function tenAtOnce(engine: AsyncEngine): Promise<unknown[]> {
  const ask = () => engine.connect((connection) => connection.scalar(one));
  return Promise.all(Array.from({ length: 10 }, ask));
}

const tenOnes = Array.from({ length: 10 }, () => 1);

describe('pool classes', () => {
  it.each([
    ['AE-29', QueuePool],
    ['AE-31', NullPool],
    ['AE-33', StaticPool],
  ] as const)('%s: ten connections at once over a %o', async (_, poolClass: PoolClass) => {
    const engine = createAsyncEngine(users.database.url, { poolClass });
    expect(await tenAtOnce(engine)).toEqual(tenOnes);
    expect(engine.pool).toBeInstanceOf(poolClass);
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
  });

  it.each(['QueuePool', Map, {}])('AE-30 AE-32: what is no pool class is refused: %o', (poolClass) => {
    const refused = () => createAsyncEngine(users.database.url, { poolClass: poolClass as never });
    expect(refused).toThrow(ArgumentError);
    expect(refused).toThrow(/poolClass.*QueuePool, NullPool/s);
  });

  it('AE-34: an AssertionPool lends one connection at a time', async () => {
    const engine = createAsyncEngine(users.database.url, { poolClass: AssertionPool });
    await engine.connect(async (connection) => {
      expect(await connection.scalar(one)).toBe(1);
      expect(await failureOf(engine.connect())).toBeInstanceOf(IllegalStateError);
    });
    await engine.aclose();
  });
});

describe('dispose()', () => {
  async function openTwo(engine: AsyncEngine): Promise<void> {
    const two = [await engine.connect(), await engine.connect()];
    for (const connection of two) await connection.close();
    expect(engine.pool.checkedIn()).toBe(2);
  }

  it('AE-36: starts over with an empty pool, and idle connections are closed', async () => {
    const engine = users.engine();
    await openTwo(engine);
    const before = engine.pool;
    await engine.dispose();
    expect(engine.pool).not.toBe(before);
    expect(engine.pool.checkedIn()).toBe(0);
    expect(before.checkedIn()).toBe(0);
    await eventually(async () => expect(await users.database.sessions()).toEqual([]));
  });

  it('AE-37: with close: false leaves the idle connections of the former pool open', async () => {
    const engine = users.engine();
    await openTwo(engine);
    const before = engine.pool;
    await engine.dispose({ close: false });
    expect(engine.pool).not.toBe(before);
    expect(engine.pool.checkedIn()).toBe(0);
    expect(await users.database.sessions()).toHaveLength(2);
    await before.dispose();
  });

  it('X-31: a connection on loan works on, and its return leaves the figures of the new pool alone', async () => {
    const engine = users.engine();
    const connection = await engine.connect();
    await engine.dispose();
    expect(await connection.scalar(one)).toBe(1);
    await connection.close();
    expect(figures(engine.pool)).toEqual({ in: 0, out: 0 });
  });

  it.each([
    ['AE-121', true],
    ['AE-122', false],
  ] as const)('%s: ten connections at once, dispose() before: %s', async (_, disposed) => {
    const engine = users.engine({ poolSize: 10, maxOverflow: 10 });
    if (disposed) await engine.dispose();
    expect(await tenAtOnce(engine)).toEqual(tenOnes);
  });
});

describe('the first use of an engine', () => {
  it('AE-38: by two connections at once', async () => {
    const engine = users.engine();
    const two = await Promise.all([engine.connect(), engine.connect()]);
    const answers = await Promise.all(
      two.map((connection, index) => connection.scalar(text(`SELECT ${index + 1}`))),
    );
    expect(answers).toEqual([1, 2]);
    await Promise.all(two.map((connection) => connection.close()));
  });
});

describe('a pool that is exhausted', () => {
  it.each([
    ['AE-47', 100],
    ['AE-49', 0],
  ] as const)('%s: refuses after a poolTimeout of %d ms', async (_, poolTimeout) => {
    const engine = users.engine({ poolSize: 1, maxOverflow: 0, poolTimeout });
    // Inside engine.connect(work) the wait would be a PoolDeadlockError.
    await using _holder = await engine.connect();
    const start = performance.now();
    expect(await failureOf(engine.connect())).toBeInstanceOf(PoolTimeoutError);
    // A timer may be early by less than a millisecond.
    expect(performance.now() - start).toBeGreaterThanOrEqual(poolTimeout - 1);
  });
});

describe('createAsyncPoolFromUrl', () => {
  it('AE-59: gives a pool of the URL', async () => {
    await using pool = createAsyncPoolFromUrl(users.database.url);
    await using loan = await pool.connect();
    const { rows } = await loan.session.execute([], { text: 'SELECT current_database() AS name' });
    expect(rows).toEqual([{ name: users.database.name }]);
  });

  it('AE-60: hands options on, and refuses what a pool does not know', () => {
    const { url } = users.database;
    expect(createAsyncPoolFromUrl(url, { poolSize: 7 }).size()).toBe(7);
    expect(() => createAsyncPoolFromUrl(url, { foo: 99 } as PoolOptions)).toThrow(ArgumentError);
  });
});
