import {
  createAsyncEngine,
  InterfaceError,
  text,
  type AsyncEngine,
  type AsyncEngineOptions,
} from 'nest-async-engine/engine';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { failureOf } from '../../../support/items.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';

let database: TestDatabase;
const roles: string[] = [];

beforeEach(async () => {
  database = await createDatabase('styles');
});
afterEach(async () => {
  for (const role of roles.splice(0)) await database.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  await database.drop();
});

function open(options: AsyncEngineOptions = {}, url = database.url): AsyncEngine {
  const engine = createAsyncEngine(url, { poolSize: 1, maxOverflow: 0, ...options });
  onTestFinished(async () => {
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
  });
  return engine;
}

const DATES: readonly string[] = [
  'German',
  'SQL, DMY',
  'SQL, MDY',
  'Postgres, DMY',
  'Postgres, MDY',
  'ISO, DMY',
];
const INTERVALS: readonly string[] = ['iso_8601', 'sql_standard', 'postgres_verbose'];

const VALUES = text(`SELECT '2026-02-03'::date AS day, '2026-02-03 04:05:06.007+00'::timestamptz AS moment,
  '2026-02-03 04:05:06'::timestamp AS clock, '1 year 2 mons 3 days 04:05:06'::interval AS span, '2 days'::interval AS days,
  '{2026-02-03}'::date[] AS list, '{1 day}'::interval[] AS spans, 'é€😀' AS word`);

const RIGHT = {
  day: '2026-02-03',
  moment: new Date('2026-02-03T04:05:06.007Z'),
  clock: new Date(2026, 1, 3, 4, 5, 6),
  span: { years: 1, months: 2, days: 3, hours: 4, minutes: 5, seconds: 6 },
  days: { days: 2 },
  list: ['2026-02-03'],
  spans: [{ days: 1 }],
  word: 'é€😀',
};

/** Where a setting may come from other than from the session itself. */
type Place = (name: string, value: string) => Promise<string>;
const PLACES: Readonly<Record<string, Place>> = {
  database: async (name, value) => {
    await database.query(`ALTER DATABASE ${database.name} SET ${name} = '${value}'`);
    return database.url;
  },
  role: async (name, value) => {
    const role = `${database.name}_role`;
    roles.push(role);
    await database.query(
      `CREATE ROLE ${role} LOGIN SUPERUSER PASSWORD 'word'; ALTER ROLE ${role} SET ${name} = '${value}'`,
    );
    const url = new URL(database.url);
    url.username = role;
    url.password = 'word';
    return url.href;
  },
};

describe.each(Object.entries(PLACES))('a style that the %s has', (_, place) => {
  it.each(DATES)('DateStyle %s: values are right', async (style) => {
    const engine = open({}, await place('DateStyle', style));
    expect(await engine.execute(VALUES).one()).toMatchObject(RIGHT);
  });

  it.each(INTERVALS)('IntervalStyle %s: values are right', async (style) => {
    const engine = open({}, await place('IntervalStyle', style));
    expect(await engine.execute(VALUES).one()).toMatchObject(RIGHT);
    expect(await engine.stream(VALUES).one()).toMatchObject(RIGHT);
  });

  it.each(['LATIN1', 'EUC_JP', 'SQL_ASCII'])('client_encoding %s: text is right', async (encoding) => {
    const engine = open({}, await place('client_encoding', encoding));
    expect(await engine.scalar(text("SELECT 'é' || :more"), { more: 'é€' })).toBe('éé€');
  });

  it('holds behind a return that had to reset the session', async () => {
    const engine = open({}, await place('IntervalStyle', 'iso_8601'));
    await engine.connect(async (conn) => {
      await conn.execute(text('SET work_mem = 1000'));
      await conn.commit();
    });
    expect(await engine.execute(VALUES).one()).toMatchObject(RIGHT);
  });
});

const REFUSED: readonly (readonly [setting: string, style: string, expression: string])[] = [
  ...['German', 'SQL, DMY', 'Postgres, MDY'].flatMap((style) =>
    [
      "'2026-02-03'::date",
      "'2026-02-03 04:05:06+00'::timestamptz",
      "'2026-02-03 04:05:06'::timestamp",
      "'{2026-02-03}'::date[]",
      "'{2026-02-03 04:05:06+00}'::timestamptz[]",
    ].map((expression) => ['DateStyle', style, expression] as const),
  ),
  ...INTERVALS.flatMap((style) =>
    [
      "'1 day'::interval",
      "'1 year 2 mons 3 days 04:05:06'::interval",
      "'{1 day}'::interval[]",
      "'0'::interval",
    ].map((expression) => ['IntervalStyle', style, expression] as const),
  ),
];

describe('a style of the session itself', () => {
  it.each(REFUSED)(
    '%s %s by settings: %s is right or refused by the name of the setting',
    async (setting, style, expression) => {
      const engine = open({ settings: { [setting]: style } });
      await expectRightOrRefused(
        engine.execute(text(`SELECT ${expression} AS value`)).one(),
        setting,
        expression,
      );
      expect(await engine.scalar(text('SELECT 1'))).toBe(1);
    },
  );

  it.each(REFUSED)(
    '%s %s by SET: %s is right or refused, and the next borrower reads it',
    async (setting, style, expression) => {
      const engine = open();
      const sql = text(`SELECT ${expression} AS value`);
      const right = await engine.execute(sql).one();
      await engine.connect(async (conn) => {
        await conn.execute(text(`SET ${setting} = '${style}'`));
        await expectRightOrRefused(conn.execute(sql).one(), setting, expression);
      });
      expect(await engine.execute(sql).one()).toEqual(right);
    },
  );

  it('a client_encoding by SET is refused by its name before a text is misread', async () => {
    const engine = open();
    await engine.connect(async (conn) => {
      const failure = await failureOf(
        conn
          .execute(text("SET client_encoding = 'LATIN1'"))
          .then(async () => conn.scalar(text("SELECT 'é'"))),
      );
      expect(failure).toBeInstanceOf(InterfaceError);
      expect(failure).toMatchObject({ message: expect.stringContaining('client_encoding is LATIN1') });
    });
    expect(await engine.scalar(text("SELECT 'é'"))).toBe('é');
  });

  it('a client_encoding by settings is refused by its name', async () => {
    const engine = open({ settings: { client_encoding: 'LATIN1' } });
    expect(await failureOf(engine.scalar(text("SELECT 'é'")))).toMatchObject({
      message: expect.stringContaining('client_encoding'),
    });
  });
});

async function expectRightOrRefused(
  read: Promise<unknown>,
  setting: string,
  expression: string,
): Promise<void> {
  const outcome = await read.catch((error: unknown) => error);
  if (outcome instanceof Error) {
    expect(outcome).toBeInstanceOf(InterfaceError);
    expect(outcome.message).toContain(`another ${setting} than`);
    return;
  }
  const engine = open();
  expect(outcome).toEqual(await engine.execute(text(`SELECT ${expression} AS value`)).one());
}

it('an infinite interval is a number, alone, in an array and beside finite ones', async ({ skip }) => {
  const engine = open();
  const version = await engine.execute(text("SELECT current_setting('server_version_num')::int")).scalarOne();
  skip(Number(version) < 170_000, 'PostgreSQL 17 brought infinite intervals');
  expect(
    await engine
      .execute(
        text(`SELECT 'infinity'::interval AS a, '-infinity'::interval AS b,
                     ARRAY['infinity', '1 day', NULL]::interval[] AS c, 'infinity'::timestamptz - now() AS d`),
      )
      .one(),
  ).toMatchObject({
    a: Number.POSITIVE_INFINITY,
    b: Number.NEGATIVE_INFINITY,
    c: [Number.POSITIVE_INFINITY, { days: 1 }, null],
    d: Number.POSITIVE_INFINITY,
  });
});
