import { createAsyncEngine, text, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startFaultyProxy, type FaultyProxy } from '../../../support/server/faulty-proxy.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';

let database: TestDatabase;
let proxy: FaultyProxy;
let engine: AsyncEngine;

const bindsSent = (): number => proxy.messages.filter(({ type }) => type === 'Bind').length;
const insert = text('INSERT INTO item (id, name) VALUES (:id, :name)');
const items = (count: number, first = 1) =>
  Array.from({ length: count }, (_, index) => ({ id: first + index, name: `n${first + index}` }));
const stored = () => database.query('SELECT id, name FROM item ORDER BY id');

/** The first page of a text goes row by row and tells the types; from then on it is one statement. */
async function learn(sql: string, parameters: Readonly<Record<string, unknown>>): Promise<void> {
  await engine.execute(
    text(sql),
    Array.from({ length: 4 }, () => parameters),
  );
  await database.query('TRUNCATE item');
  proxy.reset();
}

beforeAll(async () => {
  database = await createDatabase('many');
});

beforeEach(async () => {
  await database.query(`
    DROP TABLE IF EXISTS item;
    DROP SEQUENCE IF EXISTS place;
    CREATE SEQUENCE place;
    CREATE TABLE IF NOT EXISTS first (id int);
    CREATE TABLE item (id int, name text, place int DEFAULT nextval('place'))`);
  proxy = await startFaultyProxy(database.url);
  engine = createAsyncEngine(proxy.url, { poolSize: 1, maxOverflow: 0 });
  // The first list of a session asks whether the server is distributed.
  await engine.execute(text('INSERT INTO first VALUES (:id)'), [{ id: 1 }, { id: 2 }]);
  proxy.reset();
});

afterEach(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.aclose();
  await proxy.close();
});

afterAll(() => database.drop());

describe('an executemany of a single-row INSERT', () => {
  it('goes as one statement, also the first time: the server is asked for the types before', async () => {
    await engine.execute(insert, items(10));
    const first = bindsSent();
    await engine.execute(insert, items(2, 11));
    expect([first, bindsSent() - first, await stored()]).toEqual([1, 1, items(12)]);
  });

  it('counts the rows', async () => {
    await engine.execute(insert, items(10));
    expect((await engine.execute(insert, items(2_500))).rowCount).toBe(2_500);
  });

  it('gives what RETURNING says in the order of the input, and defaults in that order', async () => {
    const sql = 'INSERT INTO item (id, name) VALUES (:id, :name) RETURNING id, place';
    await learn(sql, { id: 0, name: 'x' });
    const sets = items(50).reverse();
    const rows = await engine.execute<{ id: number; place: number }>(text(sql), sets).all();
    const [first] = rows;
    expect(bindsSent()).toBe(1);
    expect(rows).toEqual(sets.map(({ id }, index) => ({ id, place: (first?.place ?? 0) + index })));
  });

  it('takes a bind in two places', async () => {
    const sql = 'INSERT INTO item (id, place, name) VALUES (:id, :id, :name)';
    await learn(sql, { id: 0, name: 'x' });
    await engine.execute(text(sql), items(4));
    expect(await database.query('SELECT id, place FROM item ORDER BY id')).toEqual(
      items(4).map(({ id }) => ({ id, place: id })),
    );
  });

  it('skips conflicts with rows of its own where it says DO NOTHING', async () => {
    await database.query('ALTER TABLE item ADD UNIQUE (id)');
    const sql = 'INSERT INTO item (id, name) VALUES (:id, :name) ON CONFLICT (id) DO NOTHING RETURNING name';
    await learn(sql, { id: 0, name: 'x' });
    const twice = [...items(4), ...items(4)];
    const result = await engine.execute(text(sql), twice);
    expect([bindsSent(), result.rowCount, result.all()]).toEqual([
      1,
      4,
      items(4).map(({ name }) => ({ name })),
    ]);
  });

  it('updates a row twice where it says DO UPDATE', async () => {
    await database.query('ALTER TABLE item ADD UNIQUE (id)');
    const sql =
      'INSERT INTO item (id, name) VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name';
    await learn(sql, { id: 0, name: 'x' });
    await engine.execute(text(sql), [...items(4), { id: 1, name: 'last' }]);
    expect((await stored())[0]).toEqual({ id: 1, name: 'last' });
  });
});

describe('a row that fails', () => {
  const failing = [...items(5), { id: 'x', name: 'bad' }];

  beforeEach(() => learn(insert.sql, { id: 0, name: 'x' }));

  it('fails all of them, and the error names the statement as it was written', async () => {
    await expect(engine.execute(insert, failing)).rejects.toMatchObject({
      sqlState: '22P02',
      statement: 'INSERT INTO item (id, name) VALUES ($1, $2)',
    });
    expect(await stored()).toEqual([]);
  });

  it('fails its transaction, and a savepoint around it saves that', async () => {
    await engine.transaction(async () => {
      await engine.execute(insert, { id: 1, name: 'kept' });
      await expect(engine.transaction(() => engine.execute(insert, failing))).rejects.toMatchObject({
        sqlState: '22P02',
      });
    });
    expect(await stored()).toEqual([{ id: 1, name: 'kept' }]);
  });

  it('is told by the key in the detail of a constraint', async () => {
    await database.query('ALTER TABLE item ADD UNIQUE (id)');
    const sets = [...items(50), { id: 37, name: 'twice' }];
    await expect(engine.execute(insert, sets)).rejects.toMatchObject({
      sqlState: '23505',
      detail: 'Key (id)=(37) already exists.',
    });
  });

  it('is told by all its values where one must not be NULL', async () => {
    await database.query('ALTER TABLE item ALTER name SET NOT NULL, ALTER place DROP DEFAULT');
    await expect(engine.execute(insert, [...items(50), { id: 51, name: null }])).rejects.toMatchObject({
      sqlState: '23502',
      column: 'name',
      detail: 'Failing row contains (51, null, null).',
    });
  });

  it('is told by the value that its type does not take', async () => {
    await expect(engine.execute(insert, failing)).rejects.toThrow(
      'invalid input syntax for type integer: "x"',
    );
  });

  it('is told before anything is sent where it has no text', async () => {
    const sets = [...items(5), { id: 1, name: Symbol('x') }];
    await expect(engine.execute(insert, sets)).rejects.toMatchObject({ code: 'STATEMENT' });
    expect([bindsSent(), await stored()]).toEqual([0, []]);
  });
});

/** Every type, of values that are its own and of others, with what is hard to put into an array, and whether arrays carry it. */
const HARD: readonly (readonly [type: string, isJoined: boolean, values: readonly unknown[]])[] = [
  ['text', true, ['', ' ', 'NULL', 'null', '{a,b}', '"', '\\', '\\"', "'", 'ä€😀', 'a\nb', ',', null]],
  ['varchar(4)', true, ['abcd', '', 'NULL', null]],
  ['char(4)', true, ['ab', ' a', null, '']],
  ['int2', true, [1, -32_768, '7', null]],
  ['int4', true, [0, -2_147_483_648, ' 7 ', null]],
  ['int8', true, ['9223372036854775807', 12n, -5, null]],
  ['numeric(8, 2)', true, ['1.005', 1.5, 'NaN', null]],
  ['float4', true, [1.1, Number.NaN, Infinity, null]],
  ['float8', true, [0.1, -0, 1e300, -Infinity]],
  ['int2', true, [32_767, -32_768, -0, null, 7]],
  ['int4', true, [2_147_483_647, -2_147_483_648, -0, null]],
  ['int8', true, [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, -1, 2 ** 32, -(2 ** 32) - 1, null]],
  ['oid', true, [0, 4_294_967_295, 2_147_483_648, null]],
  ['float8', true, [5e-324, 1.797e308, Number.NaN, Infinity, null, 3]],
  ['bool', true, [true, false, 'yes', null]],
  ['bool', true, [true, false, null, true]],
  ['date', true, ['2024-02-29', 'infinity', '0044-03-15 BC', null]],
  ['time', true, ['12:34:56.789', '24:00', null, '00:00']],
  ['timestamp', true, [new Date(0), '2024-01-01 00:00:00.000001', 'infinity', null]],
  ['timestamptz', true, [new Date(1e12), '2024-01-01 00:00+05:30', '-infinity', null]],
  ['interval', true, ['1 day', '-3 mons', null, '00:00:01']],
  ['uuid', true, ['6f2b1d58-1f9c-4f39-9ac1-2f4d4df2d3a0', null, null, null]],
  ['json', true, [{ a: '"\\' }, { b: [1, null] }, '[]', null]],
  ['jsonb', true, [{ a: 'ä', b: { c: '{}' } }, 1, 'null', null]],
  ['text', true, [1, 1.5, true, 'x'.repeat(33), 'ä'.repeat(2_000), 12n]],
  ['jsonb', true, [{ a: 'x'.repeat(2_000) }, null, '"ä"', '[{"b": "€"}]']],
  ['bytea', true, [Buffer.from([0, 255, 92, 34]), Buffer.alloc(0), new Uint8Array([1, 2]), null]],
  ['bytea', true, [Buffer.from([0, 255, 92, 34]), Buffer.alloc(0), '\\x01', null]],
  ['text[]', false, [['a', 'b'], [], ['{}'], null]],
  ['mood', false, ['sad', 'ok', null, 'sad']],
  ['positive', false, [1, 2, null, 3]],
];

describe('values of', () => {
  beforeAll(() =>
    database.query("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN positive AS int CHECK (VALUE > 0)"),
  );

  it.each(HARD)('%s are stored as one by one', async (type, isJoined, values) => {
    const sql = 'INSERT INTO hard (value, id) VALUES (:value, :id)';
    const sets = values.map((value, id) => ({ value, id }));
    const storedRows = () =>
      database.query('SELECT id, value::text, value IS NULL AS missing FROM hard ORDER BY id');
    await database.query(`DROP TABLE IF EXISTS hard; CREATE TABLE hard (id int, value ${type})`);
    for (const set of sets) await engine.execute(text(sql), set);
    const oneByOne = await storedRows();
    await database.query('TRUNCATE hard');
    proxy.reset();
    await engine.execute(text(sql), sets);
    // With BEGIN and COMMIT around more than one statement.
    expect([bindsSent(), await storedRows()]).toEqual([isJoined ? 1 : sets.length + 2, oneByOne]);
  });

  it('bytes for a text are taken as they are', async () => {
    const sets = [...items(4), { id: 5, name: Buffer.from('bytes') }];
    await learn(insert.sql, { id: 0, name: 'x' });
    await engine.execute(insert, sets);
    expect((await stored())[4]).toEqual({ id: 5, name: 'bytes' });
  });
});
