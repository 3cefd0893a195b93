import {
  ArgumentError,
  type AsyncEngine,
  type AsyncEngineOptions,
  createAsyncEngine,
  type Executable,
  NotSupportedError,
  text,
} from 'nest-async-engine/engine';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { createDatabase } from '../support/server/postgres.js';

interface Bench {
  readonly url: string;
  remove(): Promise<void>;
}

interface Candidate {
  readonly name: string;
  readonly open: () => Promise<Bench>;
  /** Set: an engine has the whole database, so a second one with other options can't look at it. */
  readonly isAlone: string | false;
}

const candidates: readonly Candidate[] = [
  {
    name: 'pg',
    open: async () => {
      const database = await createDatabase('types_contract');
      return { url: database.url, remove: () => database.drop() };
    },
    isAlone: false,
  },
  {
    name: 'pglite',
    open: () => Promise.resolve({ url: 'postgresql+pglite://', remove: () => Promise.resolve() }),
    isAlone: 'one instance serves this file, and its engine has one set of types',
  },
];

const SETTINGS = { TimeZone: 'UTC', lc_monetary: 'C' };

const DEFINITIONS = [
  "CREATE TYPE mood AS ENUM ('glad', 'so so')",
  'CREATE DOMAIN positive AS int CHECK (VALUE > 0)',
  'CREATE TYPE address AS (street text, number int, note text)',
];

/** SQL and the value that arrives: one rule per type, for every driver. */
const ARRIVALS: readonly (readonly [expression: string, value: unknown])[] = [
  ['32767::int2', 32_767],
  ["'-2147483648'::int4", -2_147_483_648],
  ['9223372036854775807::int8', '9223372036854775807'],
  ['12.50::numeric', '12.50'],
  ["'NaN'::numeric", 'NaN'],
  ["'-Infinity'::numeric", '-Infinity'],
  ['0.1::float4', 0.1],
  ['1e300::float8', 1e300],
  ["'NaN'::float8", Number.NaN],
  ["'Infinity'::float4", Number.POSITIVE_INFINITY],
  ["'-Infinity'::float8", Number.NEGATIVE_INFINITY],
  ['TRUE', true],
  ["'a''b\\c\u{1f600}'::text", "a'b\\c\u{1f600}"],
  ["'x'::varchar(3)", 'x'],
  ["'x'::char(3)", 'x  '],
  ['\'x\'::"char"', 'x'],
  ["'x'::name", 'x'],
  ["'\\x00ff'::bytea", Buffer.from([0, 255])],
  ["'2026-03-29'::date", '2026-03-29'],
  ["'0044-03-15 BC'::date", '0044-03-15 BC'],
  ["'-infinity'::date", '-infinity'],
  ["'12:34:56.789'::time", '12:34:56.789'],
  ["'12:34:56+02'::timetz", '12:34:56+02'],
  ["'2026-03-29 12:00:00.5'::timestamp", new Date(2026, 2, 29, 12, 0, 0, 500)],
  ["'infinity'::timestamp", Number.POSITIVE_INFINITY],
  ["'2026-03-29 12:00:00.123+02'::timestamptz", new Date('2026-03-29T10:00:00.123Z')],
  ["'0001-02-29 23:30:00-02 BC'::timestamptz", new Date('0000-03-01T01:30:00Z')],
  ["'0001-02-29 12:00:00+00 BC'::timestamptz", new Date('0000-02-29T12:00:00Z')],
  ["'0001-12-31 12:00:00+00 BC'::timestamptz", new Date('0000-12-31T12:00:00Z')],
  ["'10000-01-01 00:00:00.5+00'::timestamptz", new Date('+010000-01-01T00:00:00.5Z')],
  ["'275760-09-13 00:00:00+00'::timestamptz", new Date('+275760-09-13T00:00:00Z')],
  ["'0044-03-15 12:00:00+00 BC'::timestamptz", new Date('-000043-03-15T12:00:00Z')],
  ["'infinity'::timestamptz", Number.POSITIVE_INFINITY],
  ["'-infinity'::timestamptz", Number.NEGATIVE_INFINITY],
  ['\'{"a": [1, null]}\'::json', { a: [1, null] }],
  ['\'{"a": [1, null]}\'::jsonb', { a: [1, null] }],
  ["'null'::jsonb", null],
  ["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid", 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ["'10.0.0.1/8'::inet", '10.0.0.1/8'],
  ["'10.0.0.0/8'::cidr", '10.0.0.0/8'],
  ["'08:00:2b:01:02:03'::macaddr", '08:00:2b:01:02:03'],
  ["'08:00:2b:01:02:03:04:05'::macaddr8", '08:00:2b:01:02:03:04:05'],
  ["B'101'", '101'],
  ["B'101'::varbit", '101'],
  ["'(1,2)'::point", { x: 1, y: 2 }],
  ["'(1,1),(0,0)'::box", '(1,1),(0,0)'],
  ["'12.34'::money", '$12.34'],
  ["'a fat cat'::tsvector", "'a' 'cat' 'fat'"],
  ['42::oid', 42],
  ["'pg_class'::regclass", 'pg_class'],
  ['pg_sleep(0)', ''],
  ["'[1,5)'::int4range", '[1,5)'],
  ["'empty'::int4range", 'empty'],
  ["'[2026-01-01,2026-02-01)'::daterange", '[2026-01-01,2026-02-01)'],
  ["'{[1,3),[5,8)}'::int4multirange", '{[1,3),[5,8)}'],
  ["'so so'::mood", 'so so'],
  ['3::positive', 3],
  ['ROW(\'High "St"\', 7, NULL)::address', '("High ""St""",7,)'],
  ['NULL::text', null],
  ['NULL::int[]', null],
  // Arrays: their elements are what values of their type are.
  ["'{1,NULL,3}'::int4[]", [1, null, 3]],
  ["'{}'::int4[]", []],
  ["ARRAY[ROW(1, 'a,b')]", ['(1,"a,b")']],
  ["ARRAY['(0,1)'::tid]", ['(0,1)']],
  ["ARRAY['1'::xid, '2'::xid]", ['1', '2']],
  ["ARRAY['simple'::regconfig]", ['simple']],
  [
    "(SELECT array_agg(column_name) FROM information_schema.columns WHERE table_name = 'sql_parts' AND ordinal_position < 3)",
    ['feature_id', 'feature_name'],
  ],
  [
    "'{{1,2},{3,NULL}}'::int8[]",
    [
      ['1', '2'],
      ['3', null],
    ],
  ],
  ["'{0.10,NULL}'::numeric[]", ['0.10', null]],
  ["'{NaN,0.5}'::float8[]", [Number.NaN, 0.5]],
  ["'{t,NULL}'::bool[]", [true, null]],
  ["ARRAY['a,b', '\"', NULL, 'NULL', '']", ['a,b', '"', null, 'NULL', '']],
  ["'{2026-03-29,NULL}'::date[]", ['2026-03-29', null]],
  ["'{12:00:00}'::time[]", ['12:00:00']],
  ["'{12:00:00+02}'::timetz[]", ['12:00:00+02']],
  ["ARRAY['2026-03-29 00:00+00'::timestamptz]", [new Date('2026-03-29T00:00:00Z')]],
  ['ARRAY[\'{"a": 1}\', NULL]::jsonb[]', [{ a: 1 }, null]],
  ["ARRAY['\\x01']::bytea[]", [Buffer.from([1])]],
  ["'{10.0.0.1}'::inet[]", ['10.0.0.1']],
  ["'{08:00:2b:01:02:03}'::macaddr8[]", ['08:00:2b:ff:fe:01:02:03']],
  ["'{101,1}'::varbit[]", ['101', '1']],
  ["ARRAY['(1,2)'::point]", [{ x: 1, y: 2 }]],
  ["'{$1.00}'::money[]", ['$1.00']],
  ["ARRAY['[1,5)'::int4range, NULL]", ['[1,5)', null]],
  ["ARRAY['{[1,3)}'::int4multirange]", ['{[1,3)}']],
  ["ARRAY['a b'::tsvector]", ["'a' 'b'"]],
  ["ARRAY['pg_class'::regclass]", ['pg_class']],
  ['ARRAY[1, 2]::oid[]', [1, 2]],
];

/** A value, the type that it is bound as, and what comes back. */
const PARAMETERS: readonly (readonly [value: unknown, type: string, back: unknown])[] = [
  [7, 'int4', 7],
  [2n ** 62n, 'int8', '4611686018427387904'],
  [Number.NaN, 'float8', Number.NaN],
  [Number.NEGATIVE_INFINITY, 'float8', Number.NEGATIVE_INFINITY],
  ['0.10', 'numeric', '0.10'],
  [true, 'bool', true],
  [new Date('2026-03-29T01:30:00.123Z'), 'timestamptz', new Date('2026-03-29T01:30:00.123Z')],
  ['2026-03-29', 'date', '2026-03-29'],
  [Buffer.from([0, 1, 255]), 'bytea', Buffer.from([0, 1, 255])],
  [{ a: [1, null] }, 'jsonb', { a: [1, null] }],
  [[1, null, 3], 'int4[]', [1, null, 3]],
  [[[1n], [2n]], 'int8[]', [['1'], ['2']]],
  [[{ a: 1 }, null], 'jsonb[]', [{ a: 1 }, null]],
  [[new Date(0)], 'timestamptz[]', [new Date(0)]],
  [[Buffer.from([1])], 'bytea[]', [Buffer.from([1])]],
  ['[1,5)', 'int4range', '[1,5)'],
  [['[1,2)', '[3,4)'], 'int4range[]', ['[1,2)', '[3,4)']],
  ['{[1,2),[3,4)}', 'int4multirange', '{[1,2),[3,4)}'],
  ['glad', 'mood', 'glad'],
  ['(High,7,)', 'address', '(High,7,)'],
  ['10.0.0.1', 'inet', '10.0.0.1'],
  [null, 'jsonb', null],
  [undefined, 'text', null],
];

describe.each(candidates)('values over $name', ({ open, isAlone }) => {
  let bench: Bench;
  let engine: AsyncEngine;

  const scalar = (statement: Executable): Promise<unknown> => engine.scalar(statement);
  const because = isAlone === false ? '' : ` [skipped: ${isAlone}]`;

  beforeAll(async () => {
    bench = await open();
    engine = createAsyncEngine(bench.url, { settings: SETTINGS });
    for (const definition of DEFINITIONS) await engine.execute(text(definition));
  }, 120_000);
  afterAll(async () => {
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
    await bench.remove();
  });

  it.each(ARRIVALS)('%s arrives', async (expression, value) => {
    expect(await scalar({ text: `SELECT ${expression}` })).toStrictEqual(value);
  });

  it('xml arrives as text', async (context: TestContext) => {
    const answer = await scalar({ text: "SELECT '<a/>'::xml" }).catch((error: unknown) => error);
    if (answer instanceof NotSupportedError) context.skip('this server was built without libxml');
    expect(answer).toBe('<a/>');
  });

  it.each(PARAMETERS)('%o sent as %s comes back', async (value, type, back) => {
    expect(await scalar({ text: `SELECT $1::${type}`, values: [value] })).toStrictEqual(back);
  });

  describe.skipIf(isAlone !== false)(`an engine with options of its own${because}`, () => {
    async function ask(
      options: AsyncEngineOptions,
      expression: string,
      values: unknown[] = [],
    ): Promise<unknown> {
      await using own = createAsyncEngine(bench.url, { settings: SETTINGS, ...options });
      return await own.scalar({ text: `SELECT ${expression}`, values });
    }
    const upper = (value: string): string => value.toUpperCase();

    it.each<[AsyncEngineOptions['types'], string, unknown]>([
      [{ int8: 'bigint' }, '9223372036854775807::int8', 9_223_372_036_854_775_807n],
      [{ int8: 'bigint' }, "'{{1},{NULL}}'::int8[]", [[1n], [null]]],
      [{ numeric: Number }, "'{0.5,NULL}'::numeric[]", [0.5, null]],
      [{ '1700': Number }, "'{0.5}'::numeric[]", [0.5]],
      [{ int4range: upper }, "'empty'::int4range", 'EMPTY'],
      [{ int4range: upper }, "ARRAY['empty'::int4range]", ['EMPTY']],
      [{ timestamptz: 'text' }, "'infinity'::timestamptz", 'infinity'],
      [{ interval: 'text' }, "'1 day'::interval", '1 day'],
      [{ mood: upper }, "'glad'::mood", 'GLAD'],
      [{ mood: 'text' }, '\'{glad,"so so",NULL}\'::mood[]', ['glad', 'so so', null]],
      [{ 'public.mood': upper }, "'glad'::mood", 'GLAD'],
      [{ address: upper }, "ROW('a', 1, NULL)::address", '(A,1,)'],
      [{ address: upper }, "ARRAY[ROW('a', 1, 'b, c')::address]", ['(A,1,"B, C")']],
      [{ oid: 'text', mood: upper }, "'glad'::mood", 'GLAD'],
    ])('%o: %s', async (types, expression, value) => {
      expect(await ask({ types }, expression)).toStrictEqual(value);
    });

    it('knows a user-defined type by its oid, and its array', async () => {
      const oid = String(await scalar(text("SELECT 'mood'::regtype::oid")));
      expect(await ask({ types: { [oid]: upper } }, "ARRAY['glad'::mood]")).toEqual(['GLAD']);
    });

    it.each([
      ['no_such_type', /has no type 'no_such_type'/],
      ['positive', /'positive' is a domain/],
    ])('refuses the type %s with its first connection, and leaves none open', async (name, message) => {
      await using own = createAsyncEngine(bench.url, { types: { [name]: upper } });
      const refused = own.scalar(text('SELECT 1'));
      await expect(refused).rejects.toBeInstanceOf(ArgumentError);
      await expect(refused).rejects.toThrow(message);
      expect([own.pool.checkedOut(), own.pool.checkedIn()]).toEqual([0, 0]);
    });

    it('reads JSON by its own deserializer, in arrays too', async () => {
      const options = { jsonDeserializer: (value: string) => `read ${value}` };
      expect(await ask(options, "'[1]'::json")).toBe('read [1]');
      expect(await ask(options, "ARRAY['[1]', NULL]::jsonb[]")).toEqual(['read [1]', null]);
    });

    it('sends JSON by its own serializer, in arrays too, and leaves other values alone', async () => {
      const options = { jsonSerializer: () => '"sent"' };
      expect(await ask(options, '$1::jsonb', [{ a: 1n }])).toBe('sent');
      expect(await ask(options, '$1::jsonb[]', [[{ a: 1n }, null]])).toEqual(['sent', null]);
      expect(await ask(options, '$1::timestamptz', [new Date(0)])).toEqual(new Date(0));
      expect(await ask(options, '$1::bytea', [Buffer.from([1])])).toEqual(Buffer.from([1]));
    });
  });
});
