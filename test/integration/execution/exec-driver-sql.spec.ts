import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EngineError, sql as tag, text } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { failureOf, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;

beforeAll(async () => {
  items = await ItemDatabase.open('driver_batch');
});
beforeEach(() => {
  engine = items.engine();
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

it('EX-10: a list of lists is an executemany in the driver’s own style', async () => {
  const result = await engine.execDriverSql(`SELECT $1::int + $2::int AS sum`, [
    [1, 2],
    [3, 4],
  ]);
  expect(result.all()).toEqual([{ sum: 3 }, { sum: 7 }]);
});

/** `first`, a hole, `last`. */
function around(first: unknown, last: unknown): never[] {
  const list: unknown[] = [first];
  list[2] = last;
  return list as never[];
}

describe('a hole of a list', () => {
  it('is NULL among values', async () => {
    const sql = 'SELECT $1::text, $2::text, $3::text';
    const values = around('a', 'c');
    expect(await engine.execDriverSql(sql, values).tuples().one()).toEqual(['a', null, 'c']);
    expect(await engine.execute({ text: sql, values }).tuples().one()).toEqual(['a', null, 'c']);
    expect(await engine.execDriverSql(sql, [values, values]).tuples().all()).toEqual([
      ['a', null, 'c'],
      ['a', null, 'c'],
    ]);
  });

  it.each<[string, () => PromiseLike<unknown>]>([
    ['execDriverSql()', () => engine.execDriverSql('SELECT $1::text', around([1], [2]))],
    ['a text()', () => engine.execute(text('SELECT :a::text'), around({ a: 1 }, { a: 2 }))],
    ['sql.join()', () => engine.execute(tag`SELECT ${tag.join(around(1, 2))}`)],
    ['batch()', () => engine.batch(around(text('SELECT 1'), text('SELECT 2')))],
  ])('is refused among sets, statements and parts: %s', async (_entry, run) => {
    expect(await failureOf(Promise.resolve().then(run))).toBeInstanceOf(EngineError);
  });
});

it.each<[string, (engine: AsyncEngine) => PromiseLike<unknown>]>([
  ['execDriverSql()', () => engine.execDriverSql('SELECT 1', null).scalar()],
  ['{ text, values }', () => engine.scalar({ text: 'SELECT 1', values: null as never })],
  [
    '{ compile() }',
    () => engine.scalar({ compile: () => ({ sql: 'SELECT 1', parameters: null as never }) } as never),
  ],
  ['{ toSQL() }', () => engine.scalar({ toSQL: () => ({ sql: 'SELECT 1', params: null as never }) })],
  ['batch()', async () => (await engine.batch([{ text: 'SELECT 1', values: null as never }]))[0]?.scalar()],
])('takes null for no values, as pg does: %s', async (_entry, run) => {
  expect(await run(engine)).toBe(1);
});

it('takes an array that is the only value in a set of its own', async () => {
  expect(await engine.execDriverSql('SELECT $1::int[]', [[[1, 2]]]).scalar()).toEqual([1, 2]);
});

it('takes an array beside another value as a value', async () => {
  const sql = 'SELECT $2::int = ANY($1::int[])';
  expect(await engine.execDriverSql(sql, [[1, 2], 2]).scalar()).toBe(true);
});

it('stores nothing when one of the sets fails', async () => {
  const sql = 'INSERT INTO item (name) VALUES (left($1, 10 / $2::int))';
  const failure = await failureOf(
    engine.execDriverSql(sql, [
      ['a', 1],
      ['b', 0],
    ]),
  );
  expect(failure).toMatchObject({ sqlState: '22012' });
  expect(await items.names()).toEqual([]);
});

it('is told of as one statement with its sets', async () => {
  const told: unknown[] = [];
  engine.on('beforeCursorExecute', ({ parameters, isMany }) => void told.push(isMany, parameters));
  await engine.execDriverSql('SELECT $1::int', [[1], [2]]);
  expect(told).toEqual([true, [[1], [2]]]);
});
