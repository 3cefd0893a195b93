import { buffer, text as textOf } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAsyncEngine, IllegalStateError, RowTextStream, sql, text } from 'nest-async-engine/engine';
import type { AsyncEngine, AsyncResult } from 'nest-async-engine/engine';
import { randomOf, type Random } from '../../../support/random.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';

/** A failing run is repeated by its seed: FUZZ_SEED=123 npx vitest run csv-writer. */
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 1_000_000);
const ROUNDS = 60;

/** Types, each with values as the server reads them. */
const COLUMNS: readonly (readonly [type: string, values: readonly string[]])[] = [
  ['int2', ['0', '-32768', '32767']],
  ['int4', ['0', '-1', '2147483647', '-2147483648']],
  ['oid', ['0', '4294967295']],
  ['int8', ['9223372036854775807', '-9223372036854775808', '0']],
  ['numeric', ['0', '-1.50', 'NaN', 'Infinity', '1e40', '0.000000000000000000001']],
  ['float8', ['0', '-0', 'NaN', '-Infinity', '1e300', '0.1', '123456789012345678', '1e-7']],
  ['bool', ['t', 'f']],
  [
    'text',
    [
      '',
      'plain',
      'a,b',
      'a"b',
      '"',
      'a\nb',
      'a\rb',
      ' a ',
      '=1+1',
      'ü€😀',
      `x${'y'.repeat(3_000)}`,
      ',,""\r\n',
    ],
  ],
  ['varchar(7)', ['', 'abc', 'ä"ö,ü']],
  ['char(4)', ['', 'a', 'a,b']],
  ['name', ['', 'a"b']],
  ['uuid', ['00000000-0000-0000-0000-000000000001']],
  ['bytea', [String.raw`\x`, String.raw`\x00ff2c22`]],
  ['date', ['2024-02-29', '0044-03-15 BC', 'infinity', '12024-01-01']],
  ['time', ['12:00:00.5', '24:00:00']],
  ['timetz', ['12:00:00+05:30']],
  ['timestamp', ['2024-01-01 12:00:00.123456', 'infinity']],
  ['timestamptz', ['2024-01-01 12:00:00.123456+02', '-infinity', '0044-03-15 00:00:00+00 BC']],
  ['interval', ['1 day 02:03:04', '-1 year']],
  ['json', ['{"a": "x,\\"y"}', 'null', '[]', '1', '"text"']],
  ['jsonb', ['{"a": [1, null]}', '"a"']],
  ['int4[]', ['{}', '{1,NULL,3}']],
  ['text[]', ['{"a,b","c\\"d",NULL}', '{{a},{b}}']],
  ['numeric[]', ['{1.50,NaN}']],
  ['int4range', ['[1,5)', 'empty']],
  ['point', ['(1,2)']],
  ['mood', ['sad', 'ok, well']],
  ['mood[]', ['{sad,"ok, well"}']],
  ['pair', ['(1,"a,b")']],
  ['positive', ['7']],
];

let database: TestDatabase;
const engines: AsyncEngine[] = [];

beforeAll(async () => {
  database = await createDatabase('csv');
  await database.query(`CREATE TYPE mood AS ENUM ('sad', 'ok, well'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE TYPE pair AS (n int, t text)`);
});
afterAll(async () => {
  for (const engine of engines) {
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
  }
  await database.drop();
});

function open(options: Parameters<typeof createAsyncEngine>[1] = {}, url = database.url): AsyncEngine {
  const engine = createAsyncEngine(url, { poolSize: 1, maxOverflow: 0, ...options });
  engines.push(engine);
  return engine;
}

const csv = (result: AsyncResult<unknown>) => buffer(new RowTextStream(result, { format: 'csv' }));

/** Rows of values of these types, drawn by `next`. */
function drawn(next: Random): {
  statement: string;
  values: Record<string, unknown>;
  width: number;
} {
  const width = 1 + next(8);
  const rows = next(5) === 0 ? 1_000 + next(2_500) : next(40);
  const columns = Array.from(
    { length: width },
    () => COLUMNS[next(COLUMNS.length)] ?? (['int4', ['1']] as const),
  );
  const values = columns.map(([, values]) =>
    Array.from({ length: rows }, () => (next(6) === 0 ? null : values[next(values.length)])),
  );
  const names = columns.map((_, index) => (next(8) === 0 ? 'same' : `a "name", ${index}`));
  const list = columns.map(
    ([type], index) => `c${index}::${type} AS "${names[index]?.replaceAll('"', '""')}"`,
  );
  const arrays = columns.map((_, index) => `(:v${index})::text[]`);
  const aliases = columns.map((_, index) => `c${index}`);
  return {
    statement: `SELECT ${list.join(', ')} FROM unnest(${arrays.join(', ')}) AS r (${aliases.join(', ')})`,
    values: Object.fromEntries(values.map((column, index) => [`v${index}`, column])),
    width,
  };
}

describe('CSV of rows that nothing narrows', () => {
  it.each([
    ['plain', {}],
    ['with parsers of its own', { types: { int8: BigInt, text: (value: string) => [value], bool: 'text' } }],
  ] as const)(`has the bytes of CSV of their values (%s, seed ${SEED})`, async (_, options) => {
    const engine = open(options);
    const next = randomOf(SEED);
    for (let round = 0; round < ROUNDS; round += 1) {
      const { statement, values, width } = drawn(next);
      const stream = () =>
        engine.stream(text(statement), values, next(3) === 0 ? { yieldPer: 1 + next(900) } : {});
      // Columns that were chosen are read as values.
      const positions = Array.from({ length: width }, (_unused, index) => index);
      const ofValues = await csv(stream().columns(...positions));
      const ofBytes = await csv(stream());
      expect({ statement, isSame: ofBytes.equals(ofValues) }).toEqual({ statement, isSame: true });
    }
  });

  it('has what decoding makes of bytes that are no UTF-8', async () => {
    const name = `${database.name}_ascii`;
    await database.query(`CREATE DATABASE "${name}" ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0`);
    const url = new URL(database.url);
    url.pathname = name;
    const engine = open({}, url.href);
    const statement = text(String.raw`SELECT E'\xff,\xe4' AS a, E'\xc3' AS b, E'\xe2\x82' AS c, 'ä' AS d`);
    await engine.connect(async (connection) => {
      await connection.execute(text('SET client_encoding TO SQL_ASCII'));
      const ofBytes = await csv(connection.stream(statement));
      expect(ofBytes.toString()).toBe('a,b,c,d\r\n"\ufffd,\ufffd",\ufffd,\ufffd,ä\r\n');
      expect(ofBytes.equals(await csv(connection.stream(statement).columns(0, 1, 2, 3)))).toBe(true);
    });
    await engine.aclose();
    await database.query(`DROP DATABASE "${name}"`);
  });

  it('goes on behind rows that were read before', async () => {
    const result = open().stream(sql<{ n: number }>`SELECT n FROM generate_series(1, 5000) AS n`);
    expect(await result.fetchOne()).toEqual({ n: 1 });
    const lines = (await csv(result)).toString().trim().split('\r\n');
    expect(lines).toEqual(['n', ...Array.from({ length: 4_999 }, (_, index) => String(index + 2))]);
  });

  it('comes in chunks of whole lines, of about 64 KB', async () => {
    const result = open().stream(text(`SELECT n, repeat('ä', 300) AS t FROM generate_series(1, 2000) AS n`));
    const chunks: Buffer[] = [];
    for await (const chunk of new RowTextStream(result, { format: 'csv' })) chunks.push(chunk as Buffer);
    expect(Math.max(...chunks.map(({ length }) => length))).toBeLessThan(66_500);
    expect(chunks.every((chunk) => chunk.at(-1) === 0x0a)).toBe(true);
  });

  it('still tells a log of debug lines about each row', async () => {
    const rows: string[] = [];
    const keep = (message: string): void => void (message.includes('Row (') && rows.push(message));
    const logger = { debug: keep, log: keep, warn: keep, error: keep };
    const engine = open({ echo: 'debug', logger });
    const written = await textOf(
      new RowTextStream(engine.stream(sql`SELECT n FROM generate_series(1, 3) AS n`), { format: 'csv' }),
    );
    expect(written).toBe('n\r\n1\r\n2\r\n3\r\n');
    expect(rows).toHaveLength(3);
  });

  it('refuses who reads rows beside it, and loses none in silence', async () => {
    const result = open().stream(sql`SELECT n FROM generate_series(1, 100000) AS n`);
    const lines = new RowTextStream(result, { format: 'csv' })[Symbol.asyncIterator]();
    await lines.next();
    const failure: unknown = await result.fetchOne().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(IllegalStateError);
    expect(String(failure)).toContain('are being written by a RowTextStream');
    await expect(async () => {
      while ((await lines.next()).done !== true);
    }).rejects.toThrow('this result is closed');
  });

  it('fetches narrow rows four times as many at a time as values', async () => {
    const engine = open();
    let writes = 0;
    engine.pool.once('connect', ({ driverConnection }) => {
      const { stream } = (driverConnection as { connection: { stream: NodeJS.WritableStream } }).connection;
      const write = stream.write.bind(stream) as (...given: unknown[]) => boolean;
      stream.write = (...given: unknown[]) => {
        writes += 1;
        return write(...given);
      };
    });
    await engine.execute(text('SELECT 1'));
    const trips = async (result: AsyncResult<unknown>): Promise<number> => {
      const before = writes;
      await csv(result);
      return writes - before;
    };
    const rows = text('SELECT n FROM generate_series(1, 30000) AS n');
    const [ofBytes, ofValues] = [
      await trips(engine.stream(rows)),
      await trips(engine.stream(rows).columns(0)),
    ];
    expect(ofValues).toBeGreaterThanOrEqual(30);
    expect(ofBytes).toBeLessThanOrEqual(14);
  });
});
