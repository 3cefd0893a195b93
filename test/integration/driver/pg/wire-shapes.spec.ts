import { createAsyncEngine, sql, text, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';

let database: TestDatabase;
let engine: AsyncEngine;

const rowsOf = (statement: string, values: readonly unknown[] = []) =>
  engine.execDriverSql(statement, values).all();

beforeAll(async () => {
  database = await createDatabase('shapes');
  engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0 });
});

afterEach(() => expect(engine.pool.checkedOut()).toBe(0));

afterAll(async () => {
  await engine.aclose();
  await database.drop();
});

describe('rows with odd columns', () => {
  it.each([
    'a b',
    'x"y',
    "it's",
    '${1}',
    '`',
    '\\',
    'ä',
    'constructor',
    '__proto__',
    'at',
    'bytes',
    '0',
    'a\nb',
  ])('have one that is named %o', async (name) => {
    const [row] = await rowsOf(`SELECT 1 AS first, 'v' AS "${name.replaceAll('"', '""')}"`);
    expect(new Map(Object.entries(row ?? {}))).toEqual(
      new Map<string, unknown>([
        ['first', 1],
        [name, 'v'],
      ]),
    );
    expect(Object.getPrototypeOf(row)).toBe(Object.prototype);
  });

  it('have two of one name', async () => {
    const result = await engine.execDriverSql(`SELECT 1 AS a, 'x' AS b, NULL AS a`);
    expect(result.tuples().all()).toEqual([[1, 'x', null]]);
    expect(await rowsOf(`SELECT 1 AS a, 'x' AS b, 2 AS a`)).toEqual([{ a: 2, b: 'x' }]);
  });

  it('have none', async () => {
    const result = await engine.execDriverSql('SELECT FROM generate_series(1, 3)');
    expect([result.rowCount, result.fields, result.all()]).toEqual([3, [], [{}, {}, {}]]);
  });

  it.each([99, 100, 101, 1_600])('have %i', async (count) => {
    const columns = Array.from({ length: count }, (_, index) => `${index}::int AS c${index}`);
    const expected = Object.fromEntries(columns.map((_, index) => [`c${index}`, index]));
    const statement = `SELECT ${columns.join(', ')} FROM generate_series(1, 2)`;
    expect(await rowsOf(statement)).toEqual([expected, expected]);
  });
});

describe('values', () => {
  it('are NULL, empty, or of several bytes a letter, in rows of every length', async () => {
    const lengths = Array.from({ length: 60 }, (_, index) => index * index);
    const rows = await rowsOf(
      `SELECT n, repeat('ä€😀x', n) AS text, NULL AS missing, '' AS empty, repeat('x', n) AS ascii, n::int8 AS big
       FROM unnest($1::int[]) AS n`,
      [[lengths]],
    );
    expect(rows).toEqual(
      lengths.map((n) => ({
        n,
        text: 'ä€😀x'.repeat(n),
        missing: null,
        empty: '',
        ascii: 'x'.repeat(n),
        big: String(n),
      })),
    );
  });

  it('are as long as they like', async () => {
    const long = 'ä'.repeat(5_000_000);
    expect(await rowsOf('SELECT $1::text AS long, 1 AS after', [long])).toEqual([{ long, after: 1 }]);
  });

  it('of each length go to the server and come back', async () => {
    const values = [
      '',
      'a',
      'x'.repeat(31),
      'x'.repeat(32),
      'x'.repeat(33),
      `${'x'.repeat(31)}ä`,
      '€'.repeat(342),
      'y'.repeat(20_000),
    ];
    const placeholders = values.map((_, index) => `$${index + 1}::text AS c${index}`);
    const [row] = await rowsOf(`SELECT ${placeholders.join(', ')}`, values);
    expect(Object.values(row ?? {})).toEqual(values);
  });

  it('are bytes beside text and NULL', async () => {
    const bytes = Buffer.from([0, 1, 255, 0x5c]);
    expect(await rowsOf('SELECT $1::bytea AS a, $2::text AS b, $3::bytea AS c', [bytes, 'x', null])).toEqual([
      { a: bytes, b: 'x', c: null },
    ]);
  });

  it('are 65,535 and no more', async () => {
    const values = (count: number) => Array.from({ length: count }, (_, index) => index);
    const list = (count: number) => values(count).map((index) => `$${index + 1}::int`);
    expect(await rowsOf(`SELECT cardinality(ARRAY[${list(65_535).join(',')}]) AS n`, values(65_535))).toEqual(
      [{ n: 65_535 }],
    );
    await expect(rowsOf(`SELECT ${list(65_536).join(',')}`, values(65_536))).rejects.toMatchObject({
      code: 'STATEMENT',
      message: expect.stringContaining('65536 values'),
    });
  });
});

describe('what comes in between', () => {
  it('notices and settings reach the listeners of the client, and the rows the caller', async () => {
    const pooled = await engine.rawConnection();
    const heard: string[] = [];
    const client = pooled.driverConnection as {
      on(event: 'notice', listener: (notice: { message: string }) => void): void;
      removeAllListeners(event: 'notice'): void;
    };
    client.on('notice', ({ message }) => heard.push(message));
    await pooled.session.execute([], {
      text: `CREATE FUNCTION pg_temp.speak(n int) RETURNS int LANGUAGE plpgsql AS
        $$ BEGIN RAISE NOTICE 'row %', n; PERFORM set_config('TimeZone', 'UTC', FALSE); RETURN n; END $$`,
    });
    const { rows } = await pooled.session.execute([], {
      text: 'SELECT pg_temp.speak(n) AS n FROM generate_series(1, 3) AS n',
    });
    client.removeAllListeners('notice');
    await pooled.close();
    expect([rows, heard]).toEqual([
      [{ n: 1 }, { n: 2 }, { n: 3 }],
      ['row 1', 'row 2', 'row 3'],
    ]);
  });

  it("statements of the client's own keep their answers to themselves", async () => {
    const pooled = await engine.rawConnection();
    const client = pooled.driverConnection as { query(text: string): Promise<{ rows: unknown[] }> };
    const [ours, theirs, last] = await Promise.all([
      pooled.session.execute([], { text: 'SELECT 1 AS ours' }),
      client.query('SELECT 2 AS theirs'),
      pooled.session.execute([], { text: 'SELECT 3 AS ours' }),
    ]);
    await pooled.close();
    expect([ours.rows, theirs.rows, last.rows]).toEqual([[{ ours: 1 }], [{ theirs: 2 }], [{ ours: 3 }]]);
  });
});

it('many columns and rows are streamed as they are read', async () => {
  const columns = sql.join(
    Array.from({ length: 120 }, (_, index) => sql`n + ${index}::int AS ${sql.id(`c${index}`)}`),
  );
  const statement = sql`SELECT ${columns} FROM generate_series(1, 2500) AS n`;
  const streamed = await engine.stream(statement).all();
  expect(streamed).toEqual(await engine.execute(statement).all());
  expect(await engine.scalar(text('SELECT 1'))).toBe(1);
});
