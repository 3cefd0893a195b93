import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
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
