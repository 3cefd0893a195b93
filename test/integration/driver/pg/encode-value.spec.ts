import { runInNewContext } from 'node:vm';
import { createAsyncEngine, sql, StatementError, text, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';

let database: TestDatabase;
let engine: AsyncEngine;

beforeAll(async () => {
  database = await createDatabase('encode');
  await database.query('CREATE TABLE box (id int GENERATED ALWAYS AS IDENTITY, v text)');
  await database.query('CREATE DOMAIN document AS jsonb');
  await database.query('CREATE DOMAIN documents AS document[]');
  await database.query('CREATE DOMAIN list AS document CHECK (jsonb_typeof(VALUE) = $$array$$)');
  engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0 });
});
afterEach(() => expect(engine.pool.checkedOut()).toBe(0));
afterAll(async () => {
  await engine.aclose();
  await database.drop();
});

const INSERT = 'INSERT INTO box (v) VALUES ($1)';
const NAMED = text('INSERT INTO box (v) VALUES (:v)');

/** A stream outside of a transaction only reads: what the server has seen is stored beside it. */
async function streamed(value: unknown): Promise<void> {
  const seen = await engine.stream<{ v: string }>({ text: 'SELECT $1::text AS v', values: [value] }).one();
  await database.query(INSERT, [seen.v]);
}

/** Every way in which a value reaches the server, each as an insertion of one row. */
const ENTRIES: readonly (readonly [name: string, send: (value: unknown) => Promise<unknown>])[] = [
  ['execute', async (v) => engine.execute(NAMED, { v })],
  ['values of a text', async (v) => engine.execute({ text: INSERT, values: [v] })],
  ['a list of sets', async (v) => engine.execute(NAMED, [{ v: 'before' }, { v }])],
  // An array that is alone would be a set.
  [
    'execDriverSql',
    (v) => engine.begin(async (conn) => conn.execDriverSql(INSERT, Array.isArray(v) ? [[v]] : [v])),
  ],
  [
    'execDriverSql with lists',
    (v) => engine.begin(async (conn) => conn.execDriverSql(INSERT, [['before'], [v]])),
  ],
  ['run', (v) => engine.begin((conn) => conn.run(async (client) => client.query(INSERT, [v])))],
  ['stream', streamed],
];

class Empty {
  readonly #hidden = 1;
  hidden(): number {
    return this.#hidden;
  }
}
const circle: Record<string, unknown> = {};
circle['inner'] = { circle };

const REFUSED: readonly (readonly [name: string, make: () => unknown, reason: RegExp])[] = [
  ['a promise', () => Promise.resolve(1), /is a promise. Await it/],
  ['a thenable', () => ({ then: () => undefined }), /is a promise. Await it/],
  ['a promise inside', () => ({ a: [Promise.resolve(1)] }), /a promise is inside it. Await it/],
  ['a promise in a list', () => [Promise.resolve(1)], /is a promise. Await it/],
  ['a Map', () => new Map([['a', 1]]), /class Map, which JSON can't hold/],
  ['a Map inside', () => ({ a: { b: new Map() } }), /class Map/],
  ['a Map in a list', () => [new Map()], /class Map/],
  ['a Set', () => new Set([1]), /class Set/],
  ['a WeakMap', () => new WeakMap(), /class WeakMap/],
  ['an Error', () => new Error('x'), /class \w*Error/],
  ['an Error with data of its own', () => Object.assign(new TypeError('x'), { code: 'E' }), /class \w*Error/],
  ['an Error inside', () => ({ failure: new RangeError('x') }), /class \w*Error/],
  ['a RegExp', () => /x/, /class RegExp/],
  ['an object without data', () => new Empty(), /class Empty/],
  ['a generator', () => [].values(), /which JSON can't hold/],
  ['a proxy of nothing', () => new URLSearchParams('a=1'), /class URLSearchParams/],
  ['an object that contains itself', () => circle, /circular/],
  ['a list that contains itself', () => [circle], /circular/],
  ['toJSON that gives nothing', () => ({ toJSON: () => undefined }), /toJSON\(\) returned nothing/],
  ['a bigint inside', () => ({ a: 1n }), /BigInt/],
  ['a part made by sql', () => sql`now()`, /it is SQL made by sql or text\(\)/],
  ['a name made by sql', () => sql.id('name'), /it is SQL made by sql/],
  ['a statement inside', () => ({ a: { b: text('now()') } }), /inside it is SQL made by sql/],
  ['parts in a list', () => [sql`${1}`, sql`${2}`], /it is SQL made by sql.*sql\.join\(list\)/],
  ['a list for a text', () => ['a', null, undefined], /is a list, and its place takes one value/],
  ['an empty list for a text', () => [], /is a list, and its place takes one value/],
  ['a function', () => () => 1, /is a function/],
  ['a symbol', () => Symbol('x'), /is a symbol/],
  ['an invalid Date', () => new Date(Number.NaN), /invalid Date/],
  ['an object of NaN inside', () => ({ a: new Number(Number.NaN) }), /NaN is inside it/],
];

describe.each(ENTRIES)('%s refuses, and stores nothing:', (_entry, send) => {
  it.each(REFUSED)('%s', async (_name, make, reason) => {
    const error = await send(make()).then(
      () => undefined,
      (failure: unknown) => failure,
    );
    expect(error).toBeInstanceOf(StatementError);
    expect((error as Error).message).toMatch(/^parameter \$1 cannot be sent: /);
    expect((error as Error).message).toMatch(reason);
    expect(await database.query('SELECT v FROM box')).toEqual([]);
  });
});

describe.each(ENTRIES)('%s sends', (_entry, send) => {
  const sent = async (value: unknown): Promise<unknown> => {
    try {
      await send(value);
      return (await database.query<{ v: unknown }>('SELECT v FROM box ORDER BY id DESC LIMIT 1'))[0]?.v;
    } finally {
      await database.query('TRUNCATE box');
    }
  };

  it.each<[text: string, value: unknown]>([
    ['{}', {}],
    ['{"a":{}}', { a: {} }],
    ['{}', Object.create(null)],
    ['"http://a/b"', new URL('http://a/b')],
    ['{"when":"1970-01-01T00:00:00.000Z"}', { when: new Date(0) }],
    ['{"seen":true}', Object.assign(new Empty(), { seen: true })],
    ['word', new String('word')],
    ['7', new Number(7)],
    ['{"a":7,"b":"word"}', { a: new Number(7), b: new String('word') }],
    ['1180591620717411303424', 2n ** 70n],
    ['chosen', { toPostgres: () => 'chosen' }],
    ['{"1","2"}', { toPostgres: (prepare: (value: unknown) => unknown) => prepare([1, 2]) }],
  ])('%s', async (expected, value) => {
    expect(await sent(value)).toBe(expected);
  });
});

describe('bytes', () => {
  const bytes = Uint8Array.from([9, 0, 1, 2, 3, 255, 128, 4, 9]).buffer;
  const middle = Buffer.from([0, 1, 2, 3, 255, 128, 4, 9]);
  const views = [
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
    BigInt64Array,
    BigUint64Array,
  ].map((View) => new View(bytes.slice(1)));
  const bytea = async (value: unknown): Promise<unknown> =>
    engine.scalar({ text: 'SELECT $1::bytea', values: [value] });

  it.each(views.map((view) => [view.constructor.name, view] as const))(
    'of %s arrive',
    async (_name, view) => {
      expect(await bytea(view)).toEqual(middle);
      expect(await engine.scalar({ text: 'SELECT $1::bytea[]', values: [[view, null]] })).toEqual([
        middle,
        null,
      ]);
    },
  );

  it('of a part of a buffer are that part alone', async () => {
    expect(await bytea(new DataView(bytes, 1, 2))).toEqual(Buffer.from([0, 1]));
    expect(await bytea(new Uint8Array(bytes, 5, 3))).toEqual(Buffer.from([255, 128, 4]));
  });

  it('of an ArrayBuffer and of a shared one arrive', async () => {
    const shared = new SharedArrayBuffer(2);
    new Uint8Array(shared).set([7, 8]);
    expect(await bytea(bytes.slice(1))).toEqual(middle);
    expect(await bytea(shared)).toEqual(Buffer.from([7, 8]));
    expect(await bytea(new ArrayBuffer(0))).toEqual(Buffer.alloc(0));
  });
});

describe('a list', () => {
  const LISTS: readonly (readonly [unknown[]])[] = [
    [[]],
    [[1, 2]],
    [['a', null]],
    [[{ a: [] }, [1], true]],
    [[[]]],
  ];
  const TYPES = ['json', 'jsonb', 'document', 'list'] as const;

  describe.each(TYPES)('for %s', (type) => {
    it.each(LISTS)('%j is JSON through every entry', async (list) => {
      const select = `SELECT $1::${type} AS v`;
      const statement = { text: select, values: [list] };
      expect(await engine.scalar(statement)).toEqual(list);
      expect(await engine.stream<{ v: unknown }>(statement).all()).toEqual([{ v: list }]);
      await engine.connect(async (conn) => {
        expect(await conn.execDriverSql(select, [[list]]).scalar()).toEqual(list);
        expect(await conn.run(async (client) => (await client.query(select, [list])).rows)).toEqual([
          { v: list },
        ]);
      });
    });

    it('is JSON in each set of an executemany', async () => {
      await database.query(`CREATE TABLE docs (n int, v ${type})`);
      const sets = LISTS.map(([v], n) => ({ n, v }));
      try {
        await engine.execute(text('INSERT INTO docs VALUES (:n, :v)'), sets);
        await engine.execute(text('UPDATE docs SET v = :v WHERE n = :n'), sets);
        expect(await database.query('SELECT n, v FROM docs ORDER BY n')).toEqual(sets);
      } finally {
        await database.query('DROP TABLE docs');
      }
    });
  });

  it('is an array for an array, also of json', async () => {
    expect(await engine.scalar({ text: 'SELECT $1::int[]', values: [[]] })).toEqual([]);
    expect(await engine.scalar({ text: 'SELECT $1::jsonb[]', values: [[{ a: 1 }, null]] })).toEqual([
      { a: 1 },
      null,
    ]);
  });

  it.each([
    ['a list', "jsonb '[1]'", [[1]]],
    ['an empty list', "jsonb '[]'", [[]]],
    [
      'lists of lists beside objects and NULL',
      `'[[1], 2]'::jsonb, '{"a": [3]}', NULL`,
      [[[1], 2], { a: [3] }, null],
    ],
  ])('in an array of json is one element of it: %s', async (_name, elements, value) => {
    for (const type of ['jsonb[]', 'document[]', 'documents']) {
      const text = `SELECT $1::${type}::jsonb[] IS NOT DISTINCT FROM ARRAY[${elements}]`;
      expect(await engine.scalar({ text, values: [value] })).toBe(true);
    }
  });

  it('in an array of json is one element of it in each row of an executemany', async () => {
    await database.query('CREATE TABLE lists (v jsonb[])');
    await engine.execute(text('INSERT INTO lists VALUES (:v)'), [{ v: [[1]] }, { v: [[2], { a: [] }] }]);
    const stored = await database.query('SELECT array_ndims(v) AS n, to_jsonb(v) AS v FROM lists');
    expect(stored).toEqual([
      { n: 1, v: [[1]] },
      { n: 1, v: [[2], { a: [] }] },
    ]);
    await database.query('DROP TABLE lists');
  });

  it('has its NULLs, also where array_nulls is off in the session', async () => {
    await using connection = await engine.connect();
    await connection.execute(text('SET array_nulls = off'));
    const values = [
      ['NULL', null, 'a"\\'],
      [Buffer.from('NULL'), null],
    ];
    const sent = await connection
      .execute({
        text: 'SELECT $1::text[] AS words, $2::varchar(9)[] AS short, $3::bytea[] AS bytes',
        values: [values[0], values[0], values[1]],
      })
      .one();
    expect(sent).toEqual({ words: values[0], short: values[0], bytes: values[1] });
  });

  it('of numbers arrives as it is, with its holes as NULLs', async () => {
    const numbers = [1, -2.5, -0, 1e21, 5e-324, Number.NaN, Number.POSITIVE_INFINITY];
    const sent = async (list: readonly unknown[]): Promise<unknown> =>
      await engine.scalar({ text: 'SELECT $1::float8[]', values: [list] });
    expect(await sent(numbers)).toEqual(numbers.map((one) => one + 0));
    expect(await sent(Object.assign(Array.from({ length: 0 }), { 0: 1, 2: 3 }))).toEqual([1, null, 3]);
    expect(await engine.scalar({ text: 'SELECT $1::text[]', values: [[1, 2]] })).toEqual(['1', '2']);
    expect(await engine.scalar({ text: 'SELECT $1::int[]', values: [[]] })).toEqual([]);
  });

  it('of another realm is one, too', async () => {
    const foreign = runInNewContext('[1, 2]') as unknown;
    expect(await engine.scalar({ text: 'SELECT $1::jsonb', values: [foreign] })).toEqual([1, 2]);
    expect(await engine.scalar({ text: 'SELECT $1::int[]', values: [foreign] })).toEqual([1, 2]);
  });
});

describe('of another realm', () => {
  it('a plain object is JSON, and a Date is its moment', async () => {
    const { object, date } = runInNewContext(
      '({ object: { a: { b: 1 }, c: {} }, date: new Date(1000) })',
    ) as {
      readonly object: unknown;
      readonly date: unknown;
    };
    expect(await engine.scalar({ text: 'SELECT $1::jsonb', values: [object] })).toEqual({
      a: { b: 1 },
      c: {},
    });
    expect(await engine.scalar({ text: 'SELECT $1::timestamptz', values: [date] })).toEqual(new Date(1_000));
  });

  it.each([
    ["new String('word')", 'word'],
    ['new Number(7)', '7'],
    ['new Boolean(false)', 'false'],
  ])('%s is the value in it', async (source, sent) => {
    const value: unknown = runInNewContext(source);
    expect(await engine.scalar({ text: 'SELECT $1::text', values: [value] })).toBe(sent);
    expect(await engine.scalar({ text: 'SELECT $1::jsonb', values: [{ value }] })).toEqual({
      value: JSON.parse(JSON.stringify(value)),
    });
  });

  it.each([
    ['a Map', 'new Map([[1, 2]])'],
    ['an Error', 'Object.assign(new Error("x"), { code: 1 })'],
    ['a promise', 'Promise.resolve(1)'],
  ])('%s is refused', async (_name, source) => {
    const value: unknown = runInNewContext(source);
    await expect(engine.execute({ text: 'SELECT $1::jsonb', values: [value] })).rejects.toThrow(
      /cannot be sent/,
    );
  });
});

it("the application's own serializer may send what JSON can't hold, but no promise", async () => {
  const own = createAsyncEngine(database.url, {
    jsonSerializer: (value) => JSON.stringify(value instanceof Map ? Object.fromEntries(value) : value),
  });
  expect(await own.scalar({ text: 'SELECT $1::jsonb', values: [new Map([['a', 1]])] })).toEqual({ a: 1 });
  await expect(own.execute({ text: 'SELECT $1::jsonb', values: [Promise.resolve(1)] })).rejects.toThrow(
    /Await it/,
  );
  await own.aclose();
});

describe.each([
  'Europe/Paris',
  'Europe/Amsterdam',
  'America/New_York',
  'Asia/Kolkata',
  'Africa/Monrovia',
  'UTC',
])('a Date sent from %s', (zone) => {
  const before = process.env['TZ'];
  beforeAll(() => void (process.env['TZ'] = zone));
  afterAll(() => {
    if (before === undefined) delete process.env['TZ'];
    else process.env['TZ'] = before;
  });

  it.each([
    '1800-06-01T12:00:00.000Z',
    '1850-01-01T00:00:00.500Z',
    '1911-03-10T23:50:38.000Z',
    '1937-07-01T00:00:00.123Z',
    '1972-01-07T00:44:29.000Z',
    '2026-03-29T01:30:00.123Z',
    '0001-01-01T00:00:00.000Z',
    '-000043-03-15T00:00:00.000Z',
    '+012345-01-01T00:00:00.000Z',
  ])('is the moment %s', async (iso) => {
    const moment = new Date(iso);
    const seen = await engine
      .execute({
        text: `SELECT extract(epoch FROM $1::timestamptz)::text AS epoch, $1::timestamptz AS moment,
                        $2::timestamp AS clock, ($3::timestamptz[])[1] AS element`,
        values: [moment, moment, [moment]],
      })
      .one();
    expect(Number(seen['epoch'])).toBe(moment.getTime() / 1_000);
    expect(seen['moment']).toEqual(moment);
    expect(seen['element']).toEqual(moment);
    expect(seen['clock']).toEqual(moment);
  });
});
