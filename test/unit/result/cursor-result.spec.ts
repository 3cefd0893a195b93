import { describe, expect, it } from 'vitest';
import type { CommandResult, DriverRow } from '../../../lib/engine/driver/driver.js';
import {
  ArgumentError,
  MultipleResultsFoundError,
  NoResultFoundError,
  ResourceClosedError,
} from '../../../lib/engine/errors/errors.js';
import { CursorResult } from '../../../lib/engine/result/cursor-result.js';

interface Abc {
  a: number;
  b: number;
  c: number;
}

function commandResult(names: readonly string[], rows: readonly (readonly unknown[])[]): CommandResult {
  const keyed = new Set(names).size === names.length;
  const toRow = (row: readonly unknown[]): DriverRow =>
    keyed ? Object.fromEntries(names.map((name, position) => [name, row[position]])) : row;
  const fields = names.map((name) => ({ name, typeOid: 23 }));
  return { command: 'SELECT', rowCount: rows.length, shape: { fields, keyed }, rows: rows.map(toRow) };
}

const STANDARD = [
  [1, 1, 1],
  [2, 1, 2],
  [1, 3, 2],
  [4, 1, 2],
];
const standard = (rows: readonly (readonly unknown[])[] = STANDARD): CursorResult<Abc> =>
  new CursorResult<Abc>(commandResult(['a', 'b', 'c'], rows));
const oneRow = (): CursorResult<Abc> => standard([[1, 2, 3]]);
const insert = (): CursorResult =>
  new CursorResult({ command: 'INSERT', rowCount: 3, shape: undefined, rows: [] });

describe('CursorResult: rows', () => {
  it('hands out keyed rows as the driver made them', () => {
    const source = commandResult(['a'], [[1], [2]]);
    const [first, second] = source.rows;
    expect(new CursorResult(source).all()).toSatisfy(
      (rows: unknown[]) => rows[0] === first && rows[1] === second,
    );
  });

  it('RS-06, X-24: lets the last column of a name win in objects and keeps positions exact', () => {
    const duplicate = (): CursorResult => new CursorResult(commandResult(['a', 'b', 'b'], [[1, 2, 3]]));
    expect(duplicate().all()).toEqual([{ a: 1, b: 3 }]);
    expect(duplicate().keys()).toEqual(['a', 'b', 'b']);
    expect(duplicate().tuples().all()).toEqual([[1, 2, 3]]);
    expect(duplicate().scalars(1).all()).toEqual([2]);
    expect(duplicate().scalars('b').all()).toEqual([3]);
    expect(duplicate().columns(1, 0).all()).toEqual([{ b: 2, a: 1 }]);
    expect(duplicate().columns(1, 2).tuples().all()).toEqual([[2, 3]]);
  });

  it('makes a property and not a prototype of a column called __proto__', () => {
    const rows = new CursorResult(commandResult(['__proto__', 'x', 'x'], [[1, 2, 3]])).all();
    expect(Object.entries(rows[0] ?? {})).toEqual([
      ['__proto__', 1],
      ['x', 3],
    ]);
  });

  it('knows rowCount, returnsRows and fields, also when it is closed', () => {
    const result = oneRow();
    result.close();
    expect(result.rowCount).toBe(1);
    expect(result.returnsRows).toBe(true);
    expect(result.fields[1]).toEqual({ name: 'b', typeOid: 23 });
    expect(result.keys()).toEqual(['a', 'b', 'c']);
  });
});

describe('CursorResult: closing', () => {
  it('RS-09: is not closed when its rows are used up, and then has no more', () => {
    const result = standard();
    expect(result.all()).toHaveLength(4);
    expect(result.closed).toBe(false);
    expect([result.all(), result.fetchMany(2), result.fetchOne(), [...result]]).toEqual([
      [],
      [],
      undefined,
      [],
    ]);
  });

  it.each(['first', 'oneOrNone', 'scalar', 'scalarOneOrNone'] as const)(
    'X-23: %s() on an empty result gives undefined and closes it',
    (question) => {
      const result = standard([]);
      expect(result[question]()).toBeUndefined();
      expect(result.closed).toBe(true);
    },
  );

  it('X-23: fetchOne() on an empty result gives undefined and leaves it open', () => {
    const result = standard([]);
    expect(result.fetchOne()).toBeUndefined();
    expect(result.closed).toBe(false);
  });

  it.each(['first', 'one', 'oneOrNone', 'scalar', 'scalarOne', 'scalarOneOrNone'] as const)(
    'RS-17: refuses rows after %s()',
    (question) => {
      const result = oneRow();
      result[question]();
      expect(() => result.all()).toThrow(ResourceClosedError);
    },
  );

  it('closes with its block and closes its views with it', () => {
    const result = standard();
    const view = result.scalars();
    {
      using block = result;
      block.fetchOne();
    }
    expect(view.closed).toBe(true);
    expect(() => view.all()).toThrow(ResourceClosedError);
  });

  it('does not call a loop finished when the result is closed inside it', () => {
    const result = standard();
    expect(() => {
      for (const _ of result) result.close();
    }).toThrow(ResourceClosedError);
  });
});

describe('CursorResult: one row', () => {
  it('RS-19: each question gives its form', () => {
    expect(oneRow().one()).toEqual({ a: 1, b: 2, c: 3 });
    expect(oneRow().scalarOne()).toBe(1);
    expect(oneRow().scalars('b').one()).toBe(2);
    expect(oneRow().columns('c').mappings().one()).toEqual({ c: 3 });
    expect(oneRow().tuples().one()).toEqual([1, 2, 3]);
    expect(oneRow().columns('c').scalarOneOrNone()).toBe(3);
  });

  it('RS-20: insists on a row', () => {
    expect(() => standard([]).one()).toThrow(NoResultFoundError);
    expect(() => standard([]).scalarOne()).toThrow(NoResultFoundError);
    expect(() => standard([]).scalars().one()).toThrow(NoResultFoundError);
  });

  it('RS-22: refuses a second row, each question in its words, and closes', () => {
    const result = standard();
    expect(() => result.one()).toThrow(MultipleResultsFoundError);
    expect(result.closed).toBe(true);
    expect(() => standard().one()).toThrow(/exactly one/);
    expect(() => standard().oneOrNone()).toThrow(/one or none/);
    expect(() => standard().scalarOneOrNone()).toThrow(MultipleResultsFoundError);
  });

  it('tells NULL from no row', () => {
    expect(standard([[null, 1, 1]]).scalarOne()).toBeNull();
    expect(
      standard([[null, 1, 1]])
        .scalars()
        .first(),
    ).toBeNull();
    expect(standard([]).scalar()).toBeUndefined();
  });
});

describe('CursorResult: views and columns', () => {
  it('RS-10: a view and its source share the cursor', () => {
    const result = standard();
    const mappings = result.mappings().columns('b', 'c');
    expect(mappings.fetchMany(2)).toEqual([
      { b: 1, c: 1 },
      { b: 1, c: 2 },
    ]);
    expect(result.fetchOne()).toEqual({ a: 1, b: 3, c: 2 });
    expect(mappings.fetchOne()).toEqual({ b: 1, c: 2 });
  });

  it('RS-15: reads single columns by position and name', () => {
    expect(standard().scalars().all()).toEqual([1, 2, 1, 4]);
    expect(standard().scalars(2).all()).toEqual([1, 2, 2, 2]);
    expect(standard().scalars(-1).all()).toEqual([1, 2, 2, 2]);
    expect(standard().columns(0).mappings().all()).toEqual([{ a: 1 }, { a: 2 }, { a: 1 }, { a: 4 }]);
  });

  it('RS-16: a ScalarResult has no fetchOne', () => {
    expect('fetchOne' in standard().scalars()).toBe(false);
  });

  it('RS-24: columns() narrows the result itself and refers to the columns left by the call before', () => {
    const result = standard();
    expect(result.columns('b', 'c')).toBe(result);
    expect(result.keys()).toEqual(['b', 'c']);
    expect(result.fetchOne()).toEqual({ b: 1, c: 1 });
    expect(standard().columns(1, -2).tuples().fetchOne()).toEqual([1, 1]);
    expect(standard().columns('b', 'c', 'a').columns(1, 2).keys()).toEqual(['c', 'a']);
  });

  it.each([['nope'], [3], [-4], [0.5]])('refuses the unknown column %s and stays as it was', (column) => {
    const result = standard();
    expect(() => result.columns(column)).toThrow(ArgumentError);
    expect(() => result.scalars(column)).toThrow(/"a", "b", "c"/);
    expect(result.keys()).toEqual(['a', 'b', 'c']);
  });

  it('refuses columns() without a column', () => {
    expect(() => standard().columns()).toThrow(ArgumentError);
  });
});

describe('CursorResult: portions', () => {
  it('RS-23: partitions(n) gives full lists, a shorter last one and no empty one', () => {
    const result = standard();
    expect([...result.partitions(3)].map((list) => list.length)).toEqual([3, 1]);
    expect(result.all()).toEqual([]);
    expect([...standard().partitions(2)].map((list) => list.length)).toEqual([2, 2]);
  });

  it('fetchMany() and partitions() take one at a time, or what yieldPer() said', () => {
    const result = standard();
    expect(result.fetchMany()).toHaveLength(1);
    expect(result.yieldPer(2)).toBe(result);
    expect(result.fetchMany()).toHaveLength(2);
    expect([...standard().yieldPer(2).scalars().partitions()]).toEqual([
      [1, 2],
      [1, 4],
    ]);
  });

  it.each([0, -1, 1.5, Number.NaN])('refuses %s as a number of rows', (count) => {
    expect(() => standard().fetchMany(count)).toThrow(ArgumentError);
    expect(() => standard().partitions(count)).toThrow(ArgumentError);
    expect(() => standard().yieldPer(count)).toThrow(ArgumentError);
  });

  it('a loop that was left can be taken up again', () => {
    const result = standard().scalars();
    for (const value of result) if (value === 2) break;
    expect([...result]).toEqual([1, 4]);
  });
});

describe('CursorResult: without rows', () => {
  it('X-25: is open, knows how many rows were affected and makes views', () => {
    const result = insert();
    expect([result.returnsRows, result.closed, result.rowCount, result.fields]).toEqual([
      false,
      false,
      3,
      [],
    ]);
    expect(() => [result.mappings(), result.tuples(), result.unique()]).not.toThrow();
  });

  it.each([
    ['all', (result: CursorResult): unknown => result.all()],
    ['first', (result: CursorResult): unknown => result.first()],
    ['oneOrNone', (result: CursorResult): unknown => result.oneOrNone()],
    ['scalar', (result: CursorResult): unknown => result.scalar()],
    ['fetchOne', (result: CursorResult): unknown => result.fetchOne()],
    ['fetchMany', (result: CursorResult): unknown => result.fetchMany(2)],
    ['partitions', (result: CursorResult): unknown => [...result.partitions(2)]],
    ['iteration', (result: CursorResult): unknown => [...result]],
    ['keys', (result: CursorResult): unknown => result.keys()],
    ['scalars', (result: CursorResult): unknown => result.scalars()],
    ['columns', (result: CursorResult): unknown => result.columns(0)],
    ['mappings().all', (result: CursorResult): unknown => result.mappings().all()],
    ['freeze', (result: CursorResult): unknown => result.freeze()],
  ])('X-25: %s is refused in words that name the command, also after close()', (_, question) => {
    const result = insert();
    expect(() => question(result)).toThrow(ResourceClosedError);
    result.close();
    expect(() => question(result)).toThrow(/returns no rows \(INSERT\).*RETURNING/);
  });
});

describe('CursorResult: freeze()', () => {
  it('takes the remaining rows and gives a fresh result each time', () => {
    const result = standard();
    result.fetchOne();
    const frozen = result.freeze();
    expect(result.all()).toEqual([]);
    frozen().all().length = 0;
    expect(frozen().scalars().all()).toEqual([2, 1, 4]);
  });

  it('keeps columns(), unique() and positions', () => {
    const source = new CursorResult(
      commandResult(
        ['a', 'b', 'b'],
        [
          [1, 2, 3],
          [4, 2, 3],
        ],
      ),
    );
    const frozen = source.columns(2, 1).unique().freeze();
    expect(frozen().tuples().all()).toEqual([[3, 2]]);
    expect(frozen().all()).toEqual([{ b: 2 }]);
    expect(frozen().keys()).toEqual(['b', 'b']);
  });
});
