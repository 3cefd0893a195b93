import { createAsyncEngine, sql, text, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';

let database: TestDatabase;
let engine: AsyncEngine;

beforeAll(async () => {
  database = await createDatabase('odd_sessions');
  await database.query('CREATE TABLE item (v text)');
});
afterEach(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.aclose();
});
afterAll(() => database.drop());

/** A text that ends a literal, wherever a backslash escapes what is behind it. */
const HOSTILE = String.raw`a\'; DROP TABLE item; --\ `;

const setting = (name: string, value: string): string => `${name}=${value}`;

describe.each([
  [
    'the URL',
    () =>
      createAsyncEngine(
        `${database.url}?options=${encodeURIComponent('-c standard_conforming_strings=off')}`,
      ),
  ],
  [
    'the settings of the engine',
    () => createAsyncEngine(database.url, { settings: { standard_conforming_strings: 'off' } }),
  ],
])('with standard_conforming_strings off by %s', (_name, make) => {
  it('values are values, wherever they are put', async () => {
    engine = make();
    expect(await engine.scalar(text("SELECT current_setting('standard_conforming_strings')"))).toBe('off');
    const seen = await engine
      .execute(
        sql`SELECT ${HOSTILE}::text AS plain, ${[HOSTILE]}::text[] AS list, ${{ a: HOSTILE }}::jsonb AS json, 1 AS ${sql.id(HOSTILE)}`,
      )
      .one();
    expect(seen).toEqual({ plain: HOSTILE, list: [HOSTILE], json: { a: HOSTILE }, [HOSTILE]: 1 });
  });

  it('settings of transactions, and of nested ones, are what was given', async () => {
    engine = make();
    const ask = () => engine.scalar(text("SELECT current_setting('app.tenant')"));
    await engine.transaction(
      async () => {
        expect(await engine.transaction(ask, { settings: { 'app.tenant': 'inner' } })).toBe('inner');
        expect(await ask()).toBe(HOSTILE);
      },
      { settings: { 'app.tenant': HOSTILE }, label: HOSTILE },
    );
  });

  it('an executemany stores its texts as they are', async () => {
    engine = make();
    const sets = [{ v: HOSTILE }, { v: String.raw`\\` }, { v: "it's" }];
    await engine.execute(text('INSERT INTO item VALUES (:v)'), sets);
    expect(await engine.execute(text('SELECT v FROM item')).all()).toEqual(sets);
    await database.query('TRUNCATE item');
  });
});

it.each([
  setting('DateStyle', 'German'),
  setting('DateStyle', 'SQL,DMY'),
  setting('IntervalStyle', 'iso_8601'),
  setting('bytea_output', 'escape'),
  setting('extra_float_digits', '-10'),
  setting('TimeZone', 'Asia/Kolkata'),
])('a session that begins with %s reads values as any other', async (style) => {
  engine = createAsyncEngine(`${database.url}?options=${encodeURIComponent(`-c ${style}`)}`);
  const seen = await engine
    .execute(
      sql`SELECT DATE '2026-02-03' AS day, TIMESTAMPTZ '2026-02-03 04:05:06Z' AS moment, INTERVAL '1 mon -2 days' AS time,
                 '\\x00ff5c'::bytea AS bytes, ARRAY['\\x5c22'::bytea, NULL] AS list, ${'2026-02-03'}::date = DATE '2026-02-03' AS same`,
    )
    .one();
  expect(seen).toMatchObject({
    day: '2026-02-03',
    moment: new Date('2026-02-03T04:05:06Z'),
    time: { months: 1, days: -2 },
    bytes: Buffer.from('00ff5c', 'hex'),
    list: [Buffer.from('5c22', 'hex'), null],
    same: true,
  });
});
