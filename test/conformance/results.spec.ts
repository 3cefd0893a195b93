import {
  createAsyncEngine,
  CursorResult,
  ResourceClosedError,
  type AsyncEngine,
} from 'nest-async-engine/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CommandResult, DriverRow } from '../../lib/engine/driver/driver.js';
import { createDatabase, type TestDatabase } from '../support/server/postgres.js';

/*
 * The rows of group RS that test/unit/{result,result-unique,async-result}.spec.ts do not hold under their ID already.
 * ≠ throughout: rows are plain objects, or arrays from tuples(), where upstream has a class (semantics.md 5.1).
 */

interface Abc {
  a: number;
  b: number;
  c: number;
}

const STANDARD = [
  [1, 1, 1],
  [2, 1, 2],
  [1, 3, 2],
  [4, 1, 2],
];

function resultOf(rows: readonly (readonly unknown[])[] = STANDARD): CursorResult<Abc> {
  const names = ['a', 'b', 'c'];
  const keyed = rows.map((row): DriverRow =>
    Object.fromEntries(names.map((name, index) => [name, row[index]])),
  );
  const fields = names.map((name) => ({ name, typeOid: 23 }));
  const result: CommandResult = {
    command: 'SELECT',
    rowCount: rows.length,
    shape: { fields, keyed: true },
    rows: keyed,
  };
  return new CursorResult<Abc>(result);
}

describe('a row', () => {
  it('RS-01: is a plain object whose keys are the columns in their order', () => {
    const result = resultOf();
    const row = result.fetchOne();
    expect([JSON.stringify(row), Object.keys(row ?? {})]).toEqual(['{"a":1,"b":1,"c":1}', result.keys()]);
  });

  it('RS-02: of tuples() is an array: by index, from the end, by slice, and undefined out of range', () => {
    const [, row] = resultOf().tuples().all();
    expect([row?.[0], row?.[1], row?.[9], row?.at(-1), row?.slice(0, 2)]).toEqual([
      2,
      1,
      undefined,
      2,
      [2, 1],
    ]);
  });

  it.each(['0', '-1', '0:2'])('RS-03: of mappings() has nothing at %j', (key) => {
    const row: Readonly<Record<string, unknown>> = { ...resultOf().mappings().first() };
    expect([Object.hasOwn(row, key), row[key]]).toEqual([false, undefined]);
  });

  it('RS-04: has its columns as properties, and undefined for another', () => {
    const row: Readonly<Record<string, unknown>> = { ...resultOf().first() };
    expect([row['a'], row['c'], row['nope']]).toEqual([1, 1, undefined]);
  });

  it('RS-08: of a result that is not frozen is its reader’s own', () => {
    const row = resultOf([[1, 2, 3]]).one();
    expect(Object.assign(row, { a: 9 })).toEqual({ a: 9, b: 2, c: 3 });
  });

  it('RS-08: of a frozen result takes no assignment, for others will read it', () => {
    const frozen = resultOf([[1, 2, 3]]).freeze();
    expect(() => Object.assign(frozen().one(), { a: 9 })).toThrow(TypeError);
    expect(frozen().one()).toEqual({ a: 1, b: 2, c: 3 });
  });
});

describe('a question', () => {
  it.each(['first', 'scalar'] as const)(
    'RS-17: %s() gives what is first and closes the result',
    (question) => {
      const result = resultOf();
      expect(result[question]()).toEqual(question === 'first' ? { a: 1, b: 1, c: 1 } : 1);
      expect(() => result.all()).toThrow(ResourceClosedError);
    },
  );

  it.each<[string, (result: CursorResult<Abc>) => unknown, unknown]>([
    ['oneOrNone', (result) => result.oneOrNone(), { a: 1, b: 1, c: 1 }],
    ['scalars().oneOrNone', (result) => result.scalars().oneOrNone(), 1],
    ['mappings().oneOrNone', (result) => result.mappings().oneOrNone(), { a: 1, b: 1, c: 1 }],
    ['scalarOneOrNone', (result) => result.scalarOneOrNone(), 1],
  ])('RS-21: %s() takes one row and none', (_, ask, expected) => {
    expect([ask(resultOf([[1, 1, 1]])), ask(resultOf([]))]).toEqual([expected, undefined]);
  });

  it('RS-25: mappings() gives objects of all columns, and after columns() of those', () => {
    expect(
      resultOf([[1, 2, 3]])
        .mappings()
        .all(),
    ).toEqual([{ a: 1, b: 2, c: 3 }]);
    expect(
      resultOf([[1, 2, 3]])
        .columns('c', 'a')
        .mappings()
        .all(),
    ).toEqual([{ c: 3, a: 1 }]);
  });
});

describe('columns without a name', () => {
  let database: TestDatabase;
  let engine: AsyncEngine;

  beforeAll(async () => {
    database = await createDatabase('results');
    engine = createAsyncEngine(database.url);
  });
  afterAll(async () => {
    await engine.aclose();
    await database.drop();
  });

  // PostgreSQL gives every column a name.
  it('RS-07: share the name ?column? and are told apart by position', async () => {
    const result = await engine.execDriverSql('SELECT 1, 2');
    expect([result.keys(), result.tuples().all()]).toEqual([['?column?', '?column?'], [[1, 2]]]);
  });
});
