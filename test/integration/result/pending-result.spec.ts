import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  AsyncMethodRequiredError,
  CursorResult,
  PendingResult,
  ProgrammingError,
  ResourceClosedError,
  sql,
} from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { failureOf, insert, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
beforeAll(async () => {
  items = await ItemDatabase.open('pending');
});
beforeEach(() => {
  engine = items.engine();
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

interface Pair {
  readonly a: number;
  readonly b: string;
}
const PAIRS = sql<Pair>`SELECT * FROM (VALUES (1, 'x'), (1, 'x'), (2, 'y')) AS pairs (a, b)`;
const X = { a: 1, b: 'x' };
const Y = { a: 2, b: 'y' };

function membersOf(prototype: object): PropertyKey[] {
  const above = Object.getPrototypeOf(prototype) as object;
  const own = Reflect.ownKeys(prototype);
  return above === Object.prototype ? own : [...own, ...membersOf(above)];
}

const listOf = async <T>(source: AsyncIterable<T>): Promise<T[]> => {
  const list: T[] = [];
  for await (const item of source) list.push(item);
  return list;
};

describe('a pending result', () => {
  it('has every question of the result', () => {
    // What the result does at once in a loop or for a text, its promise cannot.
    const atOnce = [Symbol.iterator, Symbol.dispose, inspect.custom, 'toJSON'];
    // Read by the class itself; no questions.
    const inner = ['constructor', 'read', 'takeRow', 'takeFirst', 'takeOnly', 'narrow'];
    const had = membersOf(PendingResult.prototype);
    const missing = membersOf(CursorResult.prototype).filter(
      (name) => ![...had, ...atOnce, ...inner].includes(name),
    );
    expect(missing).toEqual([]);
  });

  it.each<[string, (pending: PendingResult<Pair>) => Promise<unknown>, unknown]>([
    ['all()', (pending) => pending.all(), [X, X, Y]],
    ['fetchAll()', (pending) => pending.fetchAll(), [X, X, Y]],
    ['fetchMany(2)', (pending) => pending.fetchMany(2), [X, X]],
    ['fetchMany() after yieldPer(2)', (pending) => pending.yieldPer(2).fetchMany(), [X, X]],
    ['fetchOne()', (pending) => pending.fetchOne(), X],
    ['first()', (pending) => pending.first(), X],
    ['unique().all()', (pending) => pending.unique().all(), [X, Y]],
    ['unique(key).all()', (pending) => pending.unique(({ a }) => a % 1).all(), [X]],
    ['columns().all()', (pending) => pending.columns('b').all(), [{ b: 'x' }, { b: 'x' }, { b: 'y' }]],
    ['columns().unique().all()', (pending) => pending.columns('b').unique().all(), [{ b: 'x' }, { b: 'y' }]],
    ['columns().keys()', (pending) => pending.columns('b').keys(), ['b']],
    ['keys()', (pending) => pending.keys(), ['a', 'b']],
    ['partitions(2)', (pending) => listOf(pending.partitions(2)), [[X, X], [Y]]],
    ['for await', (pending) => listOf(pending), [X, X, Y]],
    ['scalars().all()', (pending) => pending.scalars('a').all(), [1, 1, 2]],
    ['scalars().unique().all()', (pending) => pending.scalars<string>(1).unique().all(), ['x', 'y']],
    ['tuples().first()', (pending) => pending.tuples().first(), [1, 'x']],
    ['mappings().fetchMany(1)', (pending) => pending.mappings().fetchMany(1), [X]],
    ['await scalars()', async (pending) => [...(await pending.scalars('a'))], [1, 1, 2]],
    ['freeze()', async (pending) => (await pending.freeze())().all(), [X, X, Y]],
    ['rowCount', (pending) => pending.rowCount, 3],
    ['returnsRows', (pending) => pending.returnsRows, true],
    ['closed', (pending) => pending.closed, false],
    ['fields', async (pending) => (await pending.fields).map(({ name }) => name), ['a', 'b']],
  ])('answers %s without an await in between', async (_, ask, expected) => {
    expect(await ask(engine.execute(PAIRS))).toEqual(expected);
  });

  it('gives each of several questions what the ones before it left', async () => {
    const pending = engine.execute(PAIRS);
    expect(await Promise.all([pending.fetchOne(), pending.all(), pending.all()])).toEqual([X, [X, Y], []]);
  });

  it('leaves a question that was asked before unique() alone', async () => {
    const pending = engine.execute(PAIRS);
    const all = pending.all();
    pending.unique();
    expect(await all).toEqual([X, X, Y]);
  });

  it('rejects with the failure of the statement, or of the question', async () => {
    const wrong = engine.execute(sql`SELECT nothing`);
    expect(await failureOf(wrong.unique().all())).toBeInstanceOf(ProgrammingError);
    const right = engine.execute(PAIRS);
    expect(await failureOf(right.columns('c').all())).toBeInstanceOf(ArgumentError);
    expect(await right.all()).toHaveLength(3);
  });

  it.each<[string, (engine: AsyncEngine) => PromiseLike<unknown>, abstract new (...args: never[]) => Error]>([
    ['scalars() of an unknown column', () => engine.execute(PAIRS).scalars('c'), ArgumentError],
    ['columns() of an unknown column', () => engine.execute(PAIRS).columns('c'), ArgumentError],
    ['yieldPer(0)', () => engine.execute(PAIRS).yieldPer(0), ArgumentError],
    ['unique() by a key that is no function', () => engine.execute(PAIRS).unique(1 as never), ArgumentError],
    ['scalars() of no rows', () => engine.execute(sql`SET work_mem = '4MB'`).scalars(), ResourceClosedError],
    ['columns() of no rows', () => engine.execute(sql`SET work_mem = '4MB'`).columns(0), ResourceClosedError],
  ])('rejects whoever awaits %s', async (_view, view, refusal) => {
    // `await` and Promise.resolve() hand it their own two functions, and drop the promise that then() gives.
    expect(await failureOf(Promise.resolve(view(engine)))).toBeInstanceOf(refusal);
    await expect((async () => void (await view(engine)))()).rejects.toBeInstanceOf(refusal);
  });
});

describe('the JSON of a result', () => {
  it('is its remaining rows, which stay', async () => {
    const result = await engine.execute(PAIRS);
    result.fetchOne();
    expect(JSON.stringify(result)).toBe(JSON.stringify([X, Y]));
    expect(result.all()).toEqual([X, Y]);
  });

  it('has the form of the view, without repetitions', async () => {
    const result = await engine.execute(PAIRS);
    expect(JSON.stringify(result.scalars('a').unique())).toBe('[1,2]');
    const unique = result.unique();
    expect(JSON.stringify(unique)).toBe(JSON.stringify([X, Y]));
    expect(unique.all()).toEqual([X, Y]);
  });

  it('is the count of a statement that returns no rows', async () => {
    expect(JSON.stringify(await engine.execute(insert('a')))).toBe('{"rowCount":1}');
  });

  it('is an error for a closed one, and for a stream, which stays as it is', async () => {
    const result = await engine.execute(PAIRS);
    result.close();
    expect(() => JSON.stringify(result)).toThrow(ResourceClosedError);
    const stream = engine.stream(PAIRS);
    expect(() => JSON.stringify(stream)).toThrow(AsyncMethodRequiredError);
    expect(await stream.all()).toHaveLength(3);
  });
});

describe('what inspect shows', () => {
  it('of results has no internals', async () => {
    const result = await engine.execute(PAIRS);
    expect(inspect(result)).toBe('CursorResult { 3 rows left }');
    expect(inspect(result.scalars())).toBe('ScalarResult { 3 rows left }');
    result.close();
    expect(inspect(result)).toBe('CursorResult { closed }');
    expect(inspect(await engine.execute(insert('a')))).toBe('CursorResult { rowCount 1 }');
    expect(inspect(engine.stream(PAIRS))).toBe('AsyncResult { unopened }');
  });

  it('of a frozen result has its rows, as JSON and as text, and not its source', async () => {
    for (const frozen of [
      (await engine.execute(PAIRS)).freeze(),
      await engine.connect((connection) => connection.stream(PAIRS).freeze()),
    ]) {
      const rows = JSON.stringify(frozen().all());
      expect(JSON.parse(rows)).toHaveLength(3);
      expect([JSON.stringify(frozen), String(frozen)]).toEqual([rows, rows]);
      expect(inspect(frozen)).toBe('FrozenResult { 3 rows }');
      expect(frozen().all()).toHaveLength(3);
    }
  });

  it('of an engine, a connection and a pool has no internals and no password', async () => {
    await engine.connect(async (connection) => {
      expect(inspect(connection)).toBe("AsyncConnection { state: 'open', inTransaction: false }");
      expect(JSON.stringify(connection)).toBe('{"state":"open","inTransaction":false}');
    });
    expect(inspect(engine.pool)).toBe(engine.pool.status());
    expect(JSON.stringify({ pool: engine.pool })).toBe(JSON.stringify({ pool: engine.pool.status() }));
    for (const shown of [inspect(engine), JSON.stringify(engine)]) {
      expect(shown).toContain('postgresql://');
      expect(shown).not.toContain(String(new URL(items.database.url).password || 'never there'));
      expect(shown.length).toBeLessThan(400);
    }
  });
});
