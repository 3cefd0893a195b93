import {
  ArgumentError,
  DBAPIError,
  IllegalStateError,
  MultipleResultsFoundError,
  NoResultFoundError,
  ObjectNotExecutableError,
  QueryCanceledError,
  ResourceClosedError,
  StatementError,
  bindparam,
  createAsyncEngine,
  sql,
  text,
  type AsyncEngine,
  type PendingResult,
} from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { failureOf } from '../support/items.js';
import { createDatabase, type TestDatabase } from '../support/server/postgres.js';

let database: TestDatabase;
let engine: AsyncEngine;

beforeAll(async () => {
  database = await createDatabase('docs_statements');
  await database.query(
    `CREATE TABLE items (id INT GENERATED ALWAYS AS IDENTITY, name TEXT UNIQUE, price INT, state TEXT DEFAULT 'new')`,
  );
  engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0 });
});
beforeEach(async () => {
  await database.query('TRUNCATE items RESTART IDENTITY');
  await database.query(`INSERT INTO items (name, price) VALUES ('pen', 3), ('ink', 12), ('50% off', 1)`);
});
afterEach(() => expect(engine.pool.checkedOut()).toBe(0));
afterAll(async () => {
  await engine.aclose();
  await database.drop();
});

const namesOf = (statement: PendingResult<{ name: string }>) => statement.scalars('name').all();
const pricesOf = async () => await engine.scalars<number>(sql`SELECT price FROM items ORDER BY id`).all();

describe('the guide about statements: fragments', () => {
  it.each<[string, { name?: string; states?: string[]; isDescending?: boolean }, string[]]>([
    ['none', {}, ['50% off', 'ink', 'pen']],
    ['one', { name: 'N' }, ['ink', 'pen']],
    ['two', { name: 'n', states: ['new'], isDescending: true }, ['pen', 'ink']],
    ['an empty list', { states: [] }, []],
  ])('conditions are joined: %s', async (_, { name, states, isDescending = false }, expected) => {
    const conditions = [sql`price IS NOT NULL`];
    if (name !== undefined) conditions.push(sql`name ILIKE ${`%${name}%`}`);
    if (states !== undefined) conditions.push(sql`state = ANY(${states})`);
    const found = engine.execute<{ name: string }>(
      sql`SELECT name FROM items WHERE ${sql.join(conditions, sql` AND `)}
          ORDER BY ${sql.id('name')} ${isDescending ? sql`DESC` : sql.empty} LIMIT ${50}`,
    );
    expect(await namesOf(found)).toEqual(expected);
  });

  it('a bound column is refused: it is a constant, by which nothing is sorted', async () => {
    const failure = await failureOf(engine.execute(sql`SELECT name FROM items ORDER BY ${'name'}`));
    expect(failure).toMatchObject({
      name: 'StatementError',
      message: expect.stringContaining('sql.id()') as string,
    });
  });

  it.each([
    ['behind INTERVAL', sql`SELECT INTERVAL ${'1 day'}`],
    ['in CREATE', sql`CREATE TABLE other (a INT DEFAULT ${1})`],
    ['in ALTER', sql`ALTER TABLE items ALTER price SET DEFAULT ${1}`],
    ['in SET', sql`SET app.tenant = ${'red'}`],
    ['in NOTIFY', sql`NOTIFY items, ${'7'}`],
  ])('a value %s is an error of the server', async (_, wrong) => {
    expect(await failureOf(engine.execute(wrong))).toBeInstanceOf(DBAPIError);
  });

  it('a value inside of quotes is refused before anything is sent', async () => {
    const wrong = engine.execute(sql`SELECT name FROM items WHERE name LIKE '%${'e'}%'`);
    const failure = await failureOf(wrong);
    expect(failure).toBeInstanceOf(StatementError);
    expect(failure).not.toBeInstanceOf(DBAPIError);
  });

  it('what is to be written instead works', async () => {
    const whole = sql`SELECT name FROM items WHERE name LIKE '%' || ${'e'} || '%'`;
    expect(await engine.scalars(whole).all()).toEqual(['pen']);
    expect(await engine.scalar(sql`SELECT ${'1 day'}::interval = '24 hours'`)).toBe(true);
    expect(await engine.scalar(sql`SELECT set_config(${'app.tenant'}, ${'red'}, true)`)).toBe('red');
    await engine.execute(sql`SELECT pg_notify(${'items'}, ${'7'})`);
  });

  it('a value without a place that gives it a type is text', async () => {
    expect(await engine.scalar(sql`SELECT ${5}`)).toBe('5');
    expect(await engine.scalar(sql`SELECT ${5}::int`)).toBe(5);
  });
});

describe('the guide about statements: names and lists', () => {
  it('{ text, values } is a statement, and a bare string is none', async () => {
    expect(await engine.scalar({ text: 'SELECT $1::int', values: [5] })).toBe(5);
    const bare = engine.execute('SELECT 1' as never);
    expect(await failureOf(bare)).toBeInstanceOf(ObjectNotExecutableError);
  });

  it('bindparams() gives defaults, and a name without a value is refused', async () => {
    const byPrice = text<{ name: string }>(
      'SELECT name FROM items WHERE price BETWEEN :low AND :high ORDER BY name',
    ).bindparams({ low: 2 });
    expect(await namesOf(engine.execute(byPrice, { high: 10 }))).toEqual(['pen']);
    expect(await failureOf(engine.execute(byPrice))).toBeInstanceOf(StatementError);
  });

  it.each<[string, readonly number[], string[], string[]]>([
    ['two', [1, 2], ['pen', 'ink'], ['50% off']],
    ['none', [], [], ['pen', 'ink', '50% off']],
  ])('a list of %s', async (_, ids, inside, outside) => {
    const find = async (condition: typeof sql.empty): Promise<unknown[]> =>
      await engine.scalars(sql`SELECT name FROM items WHERE ${condition} ORDER BY id`).all();
    expect(await find(sql`id = ANY(${ids})`)).toEqual(inside);
    expect(await find(sql`id <> ALL(${ids})`)).toEqual(outside);
    expect(await find(sql`id = ANY(${sql.array(ids, 'int8')})`)).toEqual(inside);
    const named = text('SELECT name FROM items WHERE id = ANY(:ids) ORDER BY id');
    expect(await engine.scalars(named, { ids }).all()).toEqual(inside);
    const expanding = text('SELECT name FROM items WHERE id IN :ids ORDER BY id').bindparams(
      bindparam('ids', { expanding: true }),
    );
    expect(await engine.scalars(expanding, { ids }).all()).toEqual(inside);
  });

  it('a list in IN is joined; an empty one is refused', async () => {
    const found = sql`SELECT name FROM items WHERE id IN (${sql.join([1, 2])}) ORDER BY id`;
    expect(await engine.scalars(found).all()).toEqual(['pen', 'ink']);
    expect(() => sql.join([])).toThrow(ArgumentError);
  });
});

describe('the guide about statements: many rows', () => {
  const insert = text<{ id: number }>('INSERT INTO items (name, price) VALUES (:name, :price) RETURNING id');
  const NEW = [
    { name: 'cap', price: 5 },
    { name: 'bag', price: 40 },
  ];

  it('a list of sets gives the rows of RETURNING in their order, and the sum of the counts', async () => {
    const result = await engine.execute(insert, NEW);
    expect(result.rowCount).toBe(2);
    expect(result.all()).toEqual([{ id: 4 }, { id: 5 }]);
  });

  it('a list of sets is stored as a whole or not at all; an empty one is refused', async () => {
    await failureOf(engine.execute(insert, [...NEW, { name: 'pen', price: 1 }]));
    expect(await pricesOf()).toEqual([3, 12, 1]);
    expect(await failureOf(engine.execute(insert, []))).toBeInstanceOf(ArgumentError);
  });

  it('sql.values() writes the rows of an upsert', async () => {
    const { rowCount } = await engine.execute(
      sql`INSERT INTO items (name, price) VALUES ${sql.values([...NEW, { name: 'pen', price: 4 }], ['name', 'price'])}
          ON CONFLICT (name) DO UPDATE SET price = excluded.price`,
    );
    expect(rowCount).toBe(3);
    expect(await pricesOf()).toEqual(expect.arrayContaining([4, 12, 1, 5, 40]));
  });

  it('batch() gives a result for each statement', async () => {
    const [first, second] = await engine.batch([sql`SELECT 1 AS a`, sql`SELECT 2 AS b`]);
    expect([first.one(), second.one()]).toEqual([{ a: 1 }, { b: 2 }]);
  });
});

describe('the guide about statements: questions', () => {
  const QUESTIONS = {
    all: (result) => result.all(),
    first: (result) => result.first(),
    one: (result) => result.one(),
    oneOrNone: (result) => result.oneOrNone(),
    scalar: (result) => result.scalar(),
    scalarOne: (result) => result.scalarOne(),
    scalarOneOrNone: (result) => result.scalarOneOrNone(),
    scalars: (result) => result.scalars('a').all(),
  } satisfies Record<string, (result: PendingResult<{ a: number; b: number }>) => Promise<unknown>>;
  const [NONE, SEVERAL] = [NoResultFoundError, MultipleResultsFoundError];
  const [X, Y] = [
    { a: 1, b: 2 },
    { a: 2, b: 3 },
  ];

  it.each<[keyof typeof QUESTIONS, unknown, unknown, unknown]>([
    ['all', [], [X], [X, Y]],
    ['first', undefined, X, X],
    ['one', NONE, X, SEVERAL],
    ['oneOrNone', undefined, X, SEVERAL],
    ['scalar', undefined, 1, 1],
    ['scalarOne', NONE, 1, SEVERAL],
    ['scalarOneOrNone', undefined, 1, SEVERAL],
    ['scalars', [], [1], [1, 2]],
  ])('%s: without a row, of one and of more', async (question, ...expected) => {
    const answers = [0, 1, 2].map(async (rows) => {
      const statement = sql<{
        a: number;
        b: number;
      }>`SELECT a, a + 1 AS b FROM generate_series(1, ${rows}::int) a`;
      return await QUESTIONS[question](engine.execute(statement)).catch((error: Error) => error.constructor);
    });
    expect(await Promise.all(answers)).toEqual(expected);
  });

  it('NULL is null, where a missing row is undefined', async () => {
    expect(await engine.scalar(sql`SELECT NULL`)).toBeNull();
    expect(await engine.scalar(sql`SELECT 1 WHERE false`)).toBeUndefined();
  });

  it('what was asked wrongly has run: it is stored, and undone in a transaction', async () => {
    const several = sql`UPDATE items SET price = price + 1 RETURNING id`;
    expect(await failureOf(engine.execute(several).one())).toBeInstanceOf(MultipleResultsFoundError);
    const without = sql`UPDATE items SET price = price + 1`;
    expect(await failureOf(engine.execute(without).all())).toBeInstanceOf(ResourceClosedError);
    expect(await pricesOf()).toEqual([5, 14, 3]);
    await failureOf(engine.transaction(() => engine.execute(several).one()));
    expect(await pricesOf()).toEqual([5, 14, 3]);
  });

  it('a question for one row closes the result, one for some rows does not', async () => {
    const ids = sql<{ id: number }>`SELECT id FROM items ORDER BY id`;
    const closed = await engine.execute(ids);
    closed.first();
    expect(() => closed.all()).toThrow(ResourceClosedError);
    const open = await engine.execute(ids);
    expect([open.fetchOne(), open.fetchMany(1), [...open]]).toEqual([{ id: 1 }, [{ id: 2 }], [{ id: 3 }]]);
  });

  it('of two columns with one name tuples() has both', async () => {
    const pairs = await engine.execute(sql`SELECT 1 AS a, 2 AS a`);
    expect(pairs.fields).toEqual([
      { name: 'a', typeOid: 23 },
      { name: 'a', typeOid: 23 },
    ]);
    expect(pairs.tuples().all()).toEqual([[1, 2]]);
    expect(await engine.execute(sql`SELECT 1 AS a, 2 AS a`).one()).toEqual({ a: 2 });
  });
});

describe('the guide about statements: counting', () => {
  it('rowCount is what was found, 0 for nothing, the rows returned, and -1 for CREATE', async () => {
    const countOf = async (statement: typeof sql.empty) => await engine.execute(statement).rowCount;
    expect(await countOf(sql`UPDATE items SET price = 3 WHERE name = ${'pen'}`)).toBe(1);
    expect(await countOf(sql`UPDATE items SET price = 3 WHERE name = ${'cup'}`)).toBe(0);
    expect(await countOf(sql`SELECT * FROM items`)).toBe(3);
    expect(await countOf(sql`CREATE TEMPORARY TABLE nothing ()`)).toBe(-1);
  });

  it('count(*) is a string, a number when it is cast, and what types says', async () => {
    expect(await engine.scalar(sql`SELECT count(*) FROM items`)).toBe('3');
    expect(await engine.scalar(sql`SELECT sum(price) FROM items`)).toBe('16');
    expect(await engine.scalar(sql`SELECT count(*)::int FROM items`)).toBe(3);
    expect(await engine.scalar(sql`SELECT EXISTS (SELECT FROM items WHERE name = ${'ink'})`)).toBe(true);
    const numbers = createAsyncEngine(database.url, { types: { int8: 'number' } });
    expect(await numbers.scalar(sql`SELECT count(*) FROM items`)).toBe(3);
    await numbers.aclose();
  });
});

describe("the guide about statements: one statement's options", () => {
  const sleep = sql`SELECT pg_sleep(60)`;

  it('timeout and signal cancel it; a timeout of 0 at once', async () => {
    for (const options of [{ timeout: 50 }, { timeout: 0 }, { signal: AbortSignal.timeout(50) }]) {
      expect(await failureOf(engine.execute(sleep, undefined, options))).toBeInstanceOf(QueryCanceledError);
    }
  });

  it('retry is refused in a transaction', async () => {
    const inside = engine.transaction(() => engine.execute(sql`SELECT 1`, undefined, { retry: 2 }));
    expect(await failureOf(inside)).toBeInstanceOf(IllegalStateError);
  });

  it('readOnly refuses a write, prepare: false and noParameters send it their way', async () => {
    const write = sql`UPDATE items SET price = 0`;
    expect(await failureOf(engine.execute(write, undefined, { readOnly: true }))).toMatchObject({
      sqlState: '25006',
    });
    const unnamed = sql`SELECT count(*)::int FROM pg_prepared_statements WHERE statement LIKE '%not prepared%'`;
    expect(await engine.scalar(unnamed, undefined, { prepare: false })).toBe(0);
    expect(await engine.scalar(unnamed)).toBe(1);
    expect(await engine.scalar(text('SELECT (ARRAY[1, 2])[1:1]'), undefined, { noParameters: true })).toEqual(
      [1],
    );
  });
});
