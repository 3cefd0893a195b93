import { describe, expect, it } from 'vitest';
import { ArgumentError, MultipleResultsFoundError } from '../../../lib/engine/errors/errors.js';
import { CursorResult } from '../../../lib/engine/result/cursor-result.js';

interface Abc {
  a: number;
  b: number;
  c: number;
}

function abc(...rows: readonly (readonly [number, number, number])[]): CursorResult<Abc> {
  const fields = ['a', 'b', 'c'].map((name) => ({ name, typeOid: 23 }));
  return new CursorResult<Abc>({
    command: 'SELECT',
    rowCount: rows.length,
    shape: { fields, keyed: true },
    rows: rows.map(([a, b, c]) => ({ a, b, c })),
  });
}

const standard = (): CursorResult<Abc> => abc([1, 1, 1], [2, 1, 2], [1, 3, 2], [4, 1, 2]);

function values<T>(...items: readonly T[]): CursorResult<{ k: T }> {
  const shape = { fields: [{ name: 'k', typeOid: 25 }], keyed: true };
  const rows = items.map((k) => ({ k }));
  return new CursorResult<{ k: T }>({ command: 'SELECT', rowCount: rows.length, shape, rows });
}

const distinct = (...items: readonly unknown[]): number =>
  values(...items)
    .scalars()
    .unique()
    .all().length;

it('refuses a key of unique() that is async: each of its promises would be a value of its own', () => {
  expect(() => standard().unique(async (row) => Promise.resolve(row.a))).toThrow(/unique\(key\).*not async/);
});

describe('unique()', () => {
  it('RS-12: keeps the first row of each key, whatever the way of reading', () => {
    const unique = (): CursorResult<Abc> => standard().unique((row) => row.a);
    const expected = [
      { a: 1, b: 1, c: 1 },
      { a: 2, b: 1, c: 2 },
      { a: 4, b: 1, c: 2 },
    ];
    expect(unique().all()).toEqual(expected);
    expect([...unique()]).toEqual(expected);
    expect(unique().mappings().all()).toEqual(expected);
    const result = unique();
    expect([result.fetchMany(2), result.fetchMany(2), result.fetchMany(2)]).toEqual([
      expected.slice(0, 2),
      expected.slice(2),
      [],
    ]);
  });

  it('carries a key over into views, which ask it about the row as it was', () => {
    expect(
      standard()
        .unique((row) => row.a)
        .scalars('c')
        .all(),
    ).toEqual([1, 2, 2]);
    expect(
      standard()
        .unique((row) => row.a)
        .tuples()
        .all(),
    ).toHaveLength(3);
  });

  it('without a key compares the columns that the view has', () => {
    expect(standard().unique().scalars('b').all()).toEqual([1, 3]);
    expect(standard().unique().columns('b', 'c').all()).toHaveLength(3);
    expect(standard().columns('b', 'c').unique().mappings().all()).toHaveLength(3);
    expect(standard().unique().all()).toHaveLength(4);
  });

  it('counts rows that were fetched before as seen', () => {
    const result = standard().unique((row) => row.a);
    result.fetchOne();
    expect(result.scalars('a').all()).toEqual([2, 4]);
  });

  it('does not take a row for seen because other columns of an earlier one were equal to it', () => {
    const result = abc([1, 2, 0], [2, 1, 0]).columns('a', 'b').unique();
    result.fetchOne();
    expect(result.columns('b', 'a').all()).toEqual([{ b: 1, a: 2 }]);
  });

  it('RS-27: belongs to the view, while the cursor is shared', () => {
    const result = values(5, 6, 5, 6, 7, 6);
    const view = result.scalars(0).unique();
    const iterator = view[Symbol.iterator]();
    expect(iterator.next().value).toBe(5);
    expect(result.fetchOne()).toEqual({ k: 6 });
    expect(iterator.next().value).toBe(6);
    expect(result.fetchOne()).toEqual({ k: 7 });
    expect(view.all()).toEqual([]);
  });

  it('RS-26: takes NULL for a value', () => {
    const scalars = () => values(null, 4, null, null, 4).scalars();
    const all = [null, 4, null, null, 4];
    expect([scalars().all(), scalars().fetchMany(9), [...scalars()]]).toEqual([all, all, all]);
    expect(scalars().unique().all()).toEqual([null, 4]);
  });

  it('one() reads on until a different row appears', () => {
    expect(abc([1, 1, 1], [1, 1, 1], [1, 1, 1]).unique().one()).toEqual({ a: 1, b: 1, c: 1 });
    expect(() => abc([1, 1, 1], [1, 1, 1], [1, 1, 2]).unique().one()).toThrow(MultipleResultsFoundError);
  });

  it('scalarOne() compares rows and not their first column', () => {
    expect(() => abc([1, 1, 1], [1, 1, 2]).unique().scalarOne()).toThrow(MultipleResultsFoundError);
  });

  it('partitions are filled with what is left', () => {
    const lists = [...values(1, 1, 2, 2, 3).scalars().unique().partitions(2)];
    expect(lists).toEqual([[1, 2], [3]]);
  });
});

describe('equality of values', () => {
  it.each([
    ['dates', new Date(5), new Date(5)],
    ['bytes', Buffer.from('ab'), Buffer.from('ab')],
    ['arrays', [1, ['x']], [1, ['x']]],
    ['JSON in any order of its properties', { a: 1, b: { c: [null] } }, { b: { c: [null] }, a: 1 }],
    ['instances with toJSON()', new URL('http://a/'), new URL('http://a/')],
  ])('holds for equal %s', (_, left, right) => {
    expect(distinct(left, right)).toBe(1);
  });

  it.each([
    ['the string and the number', '1', 1],
    ['the number and the bigint', 1, 1n],
    ['null and undefined', null, undefined],
    ['null and its name', null, 'null'],
    ['the date and its number', new Date(5), 5],
    ['other bytes', Buffer.from('ab'), Buffer.from('ac')],
    ['one item and its list', 'a', ['a']],
    ['an empty list and an empty object', [], {}],
    ['a text that reads like a key', ['a', 'b'], ['as1:b']],
    ['other nesting', [[1], 2], [[1, 2]]],
    ['other property names', { a: 'b' }, { ab: '' }],
  ])('tells apart %s', (_, left, right) => {
    expect(distinct(left, right)).toBe(2);
  });

  it('does not let two columns flow into each other', () => {
    const shape = { fields: ['x', 'y'].map((name) => ({ name, typeOid: 25 })), keyed: true };
    const rows = [
      { x: 'as', y: 'b' },
      { x: 'a', y: 'sb' },
    ];
    const result = new CursorResult({ command: 'SELECT', rowCount: 2, shape, rows });
    expect(result.unique().all()).toHaveLength(2);
  });

  it('refuses to guess about an instance that shows nothing', () => {
    expect(() => distinct(new Map(), new Map([[1, 2]]))).toThrow(ArgumentError);
  });
});
