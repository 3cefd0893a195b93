import { createAsyncEngine, text, type AsyncEngine, type TypeOptions } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';

let database: TestDatabase;
let engine: AsyncEngine;

const scalar = (expression: string): Promise<unknown> => engine.scalar(text(`SELECT ${expression}`));
const echo = (value: unknown, type: string): Promise<unknown> =>
  engine.scalar({ text: `SELECT $1::${type}`, values: [value] });

function open(types: TypeOptions): void {
  engine = createAsyncEngine(database.url, { poolSize: 1, types });
}

beforeAll(async () => {
  database = await createDatabase('types');
  await database.query("CREATE TYPE mood AS ENUM ('glad', 'sad')");
  await database.query('CREATE DOMAIN positive AS int CHECK (VALUE > 0)');
});

beforeEach(() => open({}));

afterEach(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.aclose();
});

afterAll(() => database.drop());

describe('what arrives', () => {
  it.each<[string, unknown]>([
    ['1::int2', 1],
    ['-7::int4', -7],
    ['9223372036854775807::int8', '9223372036854775807'],
    ['count(*)', '1'],
    ['0.1::numeric', '0.1'],
    ["'NaN'::numeric", 'NaN'],
    ['123456789012345678901234567890.123456789::numeric', '123456789012345678901234567890.123456789'],
    ['0.5::float4', 0.5],
    ['0.1::float8', 0.1],
    ["'NaN'::float8", Number.NaN],
    ["'-Infinity'::float8", Number.NEGATIVE_INFINITY],
    ['TRUE', true],
    ['FALSE', false],
    ["'a\\b''\u00e9\u{1f600}'::text", "a\\b'\u00e9\u{1f600}"],
    ["''::text", ''],
    ["'ab'::char(4)", 'ab  '],
    ["'x'::varchar", 'x'],
    ["'x'::name", 'x'],
    ['\'x\'::"char"', 'x'],
    ["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid", 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
    ["'2026-03-29'::date", '2026-03-29'],
    ["'0044-03-15 BC'::date", '0044-03-15 BC'],
    ["'infinity'::date", 'infinity'],
    ["'12:34:56.789'::time", '12:34:56.789'],
    ["'2026-03-29 01:30:00.123+00'::timestamptz", new Date('2026-03-29T01:30:00.123Z')],
    ["'2026-03-29 01:30:00+05:30'::timestamptz", new Date('2026-03-28T20:00:00Z')],
    ['\'{"a": [1, null, "x"]}\'::json', { a: [1, null, 'x'] }],
    ['\'{"a": {"b": true}}\'::jsonb', { a: { b: true } }],
    ["'null'::jsonb", null],
    ["'1'::jsonb", 1],
    ["'\\x00ff10'::bytea", Buffer.from([0, 255, 16])],
    ["''::bytea", Buffer.alloc(0)],
    ["'glad'::mood", 'glad'],
    ['3::positive', 3],
    ['NULL::int', null],
    ['NULL::jsonb', null],
  ])('%s', async (expression, value) => {
    expect(await scalar(expression)).toStrictEqual(value);
  });

  it('interval as its parts', async () => {
    expect(await scalar("'1 year 2 months 3 days 04:05:06.007'::interval")).toMatchObject({
      years: 1,
      months: 2,
      days: 3,
      hours: 4,
      minutes: 5,
      seconds: 6,
      milliseconds: 7,
    });
  });

  it.each(['UTC', 'America/New_York', 'Asia/Kolkata', 'Pacific/Auckland'])(
    'a date is the day that is stored and a timestamptz the same moment, for a session in %s',
    async (zone) => {
      const local = createAsyncEngine(database.url, { settings: { timezone: zone } });
      const sql = text(`SELECT '2026-03-29'::date AS day, '2026-03-28T23:30:00Z'::timestamptz AS moment`);
      expect(await local.execute(sql).one()).toStrictEqual({
        day: '2026-03-29',
        moment: new Date('2026-03-28T23:30:00Z'),
      });
      await local.aclose();
    },
  );
});

describe('arrays', () => {
  it.each<[string, unknown]>([
    ["'{1,NULL,3}'::int4[]", [1, null, 3]],
    ["'{}'::int4[]", []],
    [
      "'{{1,2},{3,NULL}}'::int4[]",
      [
        [1, 2],
        [3, null],
      ],
    ],
    ["'[0:1]={7,8}'::int4[]", [7, 8]],
    ["'{9223372036854775807,NULL}'::int8[]", ['9223372036854775807', null]],
    ["'{{1},{2}}'::int8[]", [['1'], ['2']]],
    ["'{0.10,NULL}'::numeric[]", ['0.10', null]],
    ["'{123456789012345678901234567890.5}'::numeric[]", ['123456789012345678901234567890.5']],
    ["'{2026-03-29,NULL}'::date[]", ['2026-03-29', null]],
    ["'{{2026-03-29},{2026-03-30}}'::date[]", [['2026-03-29'], ['2026-03-30']]],
    ["'{t,f,NULL}'::bool[]", [true, false, null]],
    ["'{0.5,NaN}'::float8[]", [0.5, Number.NaN]],
    ["ARRAY['a', 'b,c', '\"q\"', NULL, 'NULL', '', '\\']", ['a', 'b,c', '"q"', null, 'NULL', '', '\\']],
    ["'{a,b}'::varchar[]", ['a', 'b']],
    ["'{a,b}'::name[]", ['a', 'b']],
    ["'{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}'::uuid[]", ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']],
    ["ARRAY['2026-03-29 00:00+00'::timestamptz, NULL]", [new Date('2026-03-29T00:00:00Z'), null]],
    ['ARRAY[\'{"a": 1}\', NULL]::jsonb[]', [{ a: 1 }, null]],
    ["ARRAY['\\x01', NULL]::bytea[]", [Buffer.from([1]), null]],
  ])('%s', async (expression, value) => {
    expect(await scalar(expression)).toStrictEqual(value);
  });
});

it('gives an array for each type of array that the server comes with', async () => {
  const arrays = await engine
    .execDriverSql<{ name: string }>(
      `SELECT a.typname AS name FROM pg_type a JOIN pg_type e ON e.oid = a.typelem AND e.typarray = a.oid
       WHERE a.oid < 10000 AND e.typdelim = ',' AND e.typrelid = 0`,
    )
    .all();
  const columns = arrays.map(({ name }) => `array_append(NULL::"${name}", NULL) AS "${name}"`);
  const row = await engine.execDriverSql(`SELECT ${columns.join(', ')}`).one();
  expect(Object.entries(row).filter(([, value]) => !Array.isArray(value))).toEqual([]);
});

it.each(["'294276-12-31'::timestamptz", "'280000-01-01'::timestamp"])(
  'says that %s is beyond a Date',
  async (expression) => {
    await expect(scalar(expression)).rejects.toThrow('beyond what a Date can hold');
  },
);

describe('the option types', () => {
  it.each<[TypeOptions, string, unknown]>([
    [{ int8: 'string' }, '1::int8', '1'],
    [{ int8: 'bigint' }, '9223372036854775807::int8', 9_223_372_036_854_775_807n],
    [{ int8: 'bigint' }, "'{1,NULL}'::int8[]", [1n, null]],
    [{ int8: 'number' }, 'count(*)', 1],
    [{ int8: 'number' }, "'{{1},{2}}'::int8[]", [[1], [2]]],
    [{ date: (value) => `day ${value}` }, "'2026-03-29'::date", 'day 2026-03-29'],
    [{ date: (value) => `day ${value}` }, "'{2026-03-29,NULL}'::date[]", ['day 2026-03-29', null]],
    [{ numeric: Number }, '0.5::numeric', 0.5],
    [{ '1186': (value) => value }, "'1 day'::interval", '1 day'],
    [{ numeric: () => 'called' }, 'NULL::numeric', null],
  ])('%o: %s', async (types, expression, value) => {
    open(types);
    expect(await scalar(expression)).toStrictEqual(value);
  });

  it('refuses an int8 that does not fit a number, and says what to do', async () => {
    open({ int8: 'number' });
    await expect(scalar('9007199254740993::int8')).rejects.toThrow(/does not fit a number.*bigint/);
    expect(await scalar('9007199254740991::int8')).toBe(9_007_199_254_740_991);
  });

  it('of one engine does not reach another', async () => {
    open({ int8: 'bigint' });
    const other = createAsyncEngine(database.url);
    expect([await scalar('1::int8'), await other.scalar(text('SELECT 1::int8'))]).toEqual([1n, '1']);
    await other.aclose();
  });
});

describe('what is sent comes back', () => {
  it.each<[unknown, string, unknown]>([
    [1, 'int', 1],
    [2n ** 62n, 'int8', '4611686018427387904'],
    [0.1, 'float8', 0.1],
    ['0.10', 'numeric', '0.10'],
    [true, 'bool', true],
    ["a'b\\c\u{1f600}", 'text', "a'b\\c\u{1f600}"],
    [null, 'int', null],
    [undefined, 'int', null],
    [new Date('2026-03-29T01:30:00.123Z'), 'timestamptz', new Date('2026-03-29T01:30:00.123Z')],
    ['2026-03-29', 'date', '2026-03-29'],
    [Buffer.from([0, 1, 255]), 'bytea', Buffer.from([0, 1, 255])],
    [new Uint8Array([1, 2, 3]).subarray(1), 'bytea', Buffer.from([2, 3])],
    [[1, null, 3], 'int[]', [1, null, 3]],
    [[], 'int[]', []],
    [
      [
        [1, 2],
        [3, 4],
      ],
      'int[]',
      [
        [1, 2],
        [3, 4],
      ],
    ],
    [['a,b', '"', '\\', 'NULL', '', undefined], 'text[]', ['a,b', '"', '\\', 'NULL', '', null]],
    [[new Date(0)], 'timestamptz[]', [new Date(0)]],
    [[Buffer.from([1])], 'bytea[]', [Buffer.from([1])]],
    [{ a: [1, { b: null }], c: undefined }, 'jsonb', { a: [1, { b: null }] }],
    [JSON.stringify([1, 2]), 'jsonb', [1, 2]],
    [{ toPostgres: () => '(1,2)' }, 'point', { x: 1, y: 2 }],
  ])('%o as %s', async (value, type, expected) => {
    expect(await echo(value, type)).toStrictEqual(expected);
  });

  it('a value of ten megabytes', async () => {
    const large = Buffer.alloc(10_000_000, 7);
    expect(large.equals((await echo(large, 'bytea')) as Buffer)).toBe(true);
  });

  it.each([
    ['text', 'a', 'x'],
    ['bytea', Buffer.from('a'), Buffer.from('x')],
  ])('text and bytes for one statement, one after the other: %s', async (type, first, second) => {
    expect([await echo(first, type), await echo(second, type)]).toStrictEqual([first, second]);
  });
});
