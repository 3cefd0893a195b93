import {
  ArgumentError,
  createAsyncEngine,
  text,
  type AsyncEngine,
  type TypeOptions,
} from 'nest-async-engine/engine';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { failureOf } from '../../../support/items.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase('own_types');
  await database.query(`
    CREATE SCHEMA shop;
    CREATE TYPE mood AS ENUM ('glad', 'so so', 'a,"b"');
    CREATE TYPE shop."Mood" AS ENUM ('Glad');
    CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE DOMAIN tiny AS positive CHECK (VALUE < 10);
    CREATE DOMAIN birthday AS date;
    CREATE DOMAIN moods AS mood[];
    CREATE DOMAIN matrix AS tiny[];
    CREATE DOMAIN document AS jsonb;
    CREATE DOMAIN page AS document;
    CREATE DOMAIN blob AS bytea;
    CREATE TYPE pair AS (a int, b text)`);
});
afterAll(() => database.drop());

function open(types: TypeOptions = {}): AsyncEngine {
  const engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0, types });
  onTestFinished(async () => {
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
  });
  return engine;
}

const ARRIVALS: readonly (readonly [expression: string, value: unknown])[] = [
  ['3::tiny', 3],
  ["'{1,NULL,3}'::positive[]", [1, null, 3]],
  ["'{{1},{2}}'::tiny[]", [[1], [2]]],
  ["'{1,2}'::matrix", [1, 2]],
  ["ARRAY['{1,2}'::matrix]::matrix[]", [[1, 2]]],
  [`'{glad,"so so",NULL}'::mood[]`, ['glad', 'so so', null]],
  ['ARRAY[\'a,"b"\']::mood[]', ['a,"b"']],
  ["'{}'::mood[]", []],
  ["'[0:1]={glad,glad}'::mood[]", ['glad', 'glad']],
  ["'{glad}'::moods", ['glad']],
  [`'{Glad}'::shop."Mood"[]`, ['Glad']],
  ["'2026-03-29'::birthday", '2026-03-29'],
  ["'{2026-03-29,NULL}'::birthday[]", ['2026-03-29', null]],
  ['\'{"a": 1}\'::page', { a: 1 }],
  ["ARRAY['{\"a\": 1}', NULL, '[2]']::page[]", [{ a: 1 }, null, [2]]],
  ["'\\x0102'::blob", Buffer.from([1, 2])],
  ["ARRAY['\\x01', NULL]::blob[]", [Buffer.from([1]), null]],
  ["ROW(1, 'x')::pair", '(1,x)'],
  ["ARRAY[ROW(1, 'x')::pair]", ['(1,x)']],
];

describe('a type of the database arrives by the rule of what is under it', () => {
  it.each(ARRIVALS)('%s', async (expression, value) => {
    const engine = open();
    const sql = text(`SELECT ${expression} AS v`);
    expect(await engine.scalar(sql)).toStrictEqual(value);
    expect(await engine.stream(sql).all()).toStrictEqual([{ v: value }]);
    expect(
      await engine.connect(async (conn) =>
        conn.run(async (client) => (await client.query(`SELECT ${expression} AS v`)).rows),
      ),
    ).toStrictEqual([{ v: value }]);
  });

  it('also where all of them stand in one row, and the first row has none', async () => {
    const columns = ARRIVALS.map(
      ([expression], index) => `CASE WHEN n > 0 THEN ${expression} END AS c${index}`,
    );
    const rows = await open()
      .execute(text(`SELECT ${columns.join(', ')} FROM generate_series(0, 1) AS n ORDER BY n`))
      .all();
    expect(Object.values(rows[0] ?? {})).toStrictEqual(ARRIVALS.map(() => null));
    expect(Object.values(rows[1] ?? {})).toStrictEqual(ARRIVALS.map(([, value]) => value));
  });
});

it('a statement without a name reads a type by what the database has told since its first run', async () => {
  const engine = open();
  const moods = text(
    "SELECT v::mood[] AS v FROM (VALUES (NULL), ('{glad}')) AS t (v) WHERE v IS NOT NULL OR :all",
  );
  const read = (all: boolean) => engine.execute(moods, { all }, { prepare: false }).all();
  expect(await read(false)).toEqual([{ v: ['glad'] }]);
  expect(await read(true)).toEqual([{ v: null }, { v: ['glad'] }]);
});

const spell = (value: string): string => `<${value}>`;

describe('a rule goes by every spelling of its type', () => {
  it.each<[name: string, expression: string]>([
    ['int4', '7::int4'],
    ['INT', '7::int4'],
    ['integer', '7::int4'],
    ['Integer', '7::int4'],
    ['pg_catalog.int4', '7::int4'],
    ['23', '7::int4'],
    ['bigint', '7::int8'],
    ['double precision', '7::float8'],
    ['Double  Precision', '7::float8'],
    ['character varying', "'7'::varchar"],
    ['decimal', '7::numeric'],
    ['timestamp with time zone', "'infinity'::timestamptz"],
    ['time without time zone', "'07:00'::time"],
    ['public.mood', "'glad'::mood"],
    ['"mood"', "'glad'::mood"],
    ['MOOD', "'glad'::mood"],
    ['shop."Mood"', `'Glad'::shop."Mood"`],
  ])('%s', async (name, expression) => {
    const plain = await open().scalar(text(`SELECT (${expression})::text`));
    expect(await open({ [name]: spell }).scalar(text(`SELECT ${expression}`))).toBe(spell(String(plain)));
    expect(await open({ [name]: spell }).scalar(text(`SELECT ARRAY[${expression}, NULL]`))).toStrictEqual([
      spell(String(plain)),
      null,
    ]);
  });

  it('a domain follows the rule of its base type, by a rule and in an array', async () => {
    const engine = open({ integer: spell });
    expect(await engine.scalar(text('SELECT 3::tiny'))).toBe('<3>');
    expect(await engine.scalar(text("SELECT '{3,NULL}'::tiny[]"))).toStrictEqual(['<3>', null]);
  });
});

describe('two spellings of one type are refused, and both are named', () => {
  it.each([
    ['int', 'integer'],
    ['int4', '23'],
    ['int4', 'pg_catalog.int4'],
    ['BIGINT', 'int8'],
    ['timestamptz', 'timestamp with time zone'],
  ])('%s and %s, when the engine is made', (first, second) => {
    const make = (): unknown =>
      createAsyncEngine(database.url, { types: { [first]: spell, [second]: 'text' } });
    expect(make).toThrow(ArgumentError);
    expect(make).toThrow(/are two names of one type/);
  });

  it.each([
    ['mood', 'public.mood'],
    ['mood', '"mood"'],
    ['mood', 'MOOD'],
    ['int4', '"int4"'],
    ['int8', 'pg_catalog."int8"'],
  ])('%s and %s, when the first connection is opened', async (first, second) => {
    const engine = open({ [first]: spell, [second]: 'text' });
    const failure = await failureOf(engine.scalar(text('SELECT 1')));
    expect(failure).toBeInstanceOf(ArgumentError);
    expect(failure).toMatchObject({
      message: expect.stringContaining(`'${first}' and '${second}' are two names of one type`),
    });
  });

  it('a name and the oid of an enum as well', async () => {
    const [{ oid } = { oid: 0 }] = await database.query<{ oid: number }>("SELECT 'mood'::regtype::oid");
    expect(await failureOf(open({ mood: spell, [oid]: spell }).scalar(text('SELECT 1')))).toMatchObject({
      message: expect.stringContaining('two names of one type'),
    });
  });
});

it.each(['numeric', '1700', 'mood'])(
  'an async parser of %s is refused: a promise would be the value',
  (name) => {
    const types = { [name]: async (value: string) => Promise.resolve(value) };
    const make = (): unknown => createAsyncEngine(database.url, { types });
    expect(make).toThrow(ArgumentError);
    expect(make).toThrow(/not async/);
  },
);
