import { createAsyncEngine, QueryCanceledError, text, type AsyncEngine } from 'nest-async-engine/engine';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sqlStateOf } from '../../../../lib/engine/errors/sqlstate.js';
import { randomOf } from '../../../support/random.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';

const STATEMENTS = Number(process.env['FUZZ_SIZE'] ?? 1_500);
const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 100_000);
const CALLERS = 64;

let database: TestDatabase;
let engine: AsyncEngine;
let plain: pg.Pool;

/** Rows, or the SQLSTATE of the failure. */
type Answer = readonly unknown[] | string;
/** What one of the two says to a statement. Both have tables of the same names, in schemas of their own. */
type Ask = (sql: string, values?: readonly unknown[]) => Promise<Answer>;

const refusedState = (error: unknown): string => {
  const state = sqlStateOf(error);
  if (state === undefined) throw error;
  return state;
};
const ours: Ask = (sql, values = []) => engine.execDriverSql(sql, values).all().catch(failureOrNone);
const theirs: Ask = (sql, values = []) =>
  plain.query(sql, [...values]).then(({ rows }) => rows as unknown[], refusedState);

// A statement that returns no rows has none to give.
function failureOrNone(error: unknown): Answer {
  return error instanceof Error && 'code' in error && error.code === 'RESOURCE_CLOSED'
    ? []
    : refusedState(error);
}

interface Caller {
  readonly table: string;
  readonly random: (below: number) => number;
}

type Action = (
  caller: Caller,
) => Promise<{ readonly sql: string; readonly ours: unknown; readonly theirs: unknown }>;

async function both(sql: string, values: readonly unknown[] = []): ReturnType<Action> {
  return { sql, ours: await ours(sql, values), theirs: await theirs(sql, values) };
}

const insertSql = (table: string) =>
  `INSERT INTO ${table} (id, n, note, more) VALUES ($1, $2, $3, $4) RETURNING id, n, note, more`;
const notes = ['', 'x', 'ä€😀', '{a,"b"}', 'NULL', '\\', null];
const rowOf = ({ random }: Caller): readonly unknown[] => [
  random(200),
  random(1_000),
  notes[random(notes.length)],
  { list: [random(9)], text: notes[random(notes.length)] },
];

const insert: Action = (caller) => both(insertSql(caller.table), rowOf(caller));
const read: Action = ({ table, random }) =>
  both(`SELECT * FROM ${table} WHERE id < $1 ORDER BY id`, [random(200)]);
const types: Action = ({ random }) =>
  both(
    `SELECT g AS n, g::int8 AS big, g / 7.0::float8 AS part, g % 2 = 0 AS even, NULLIF(g, 3) AS hole, repeat('ä', g) AS t,
       to_timestamp(g * 86400.25) AS at, (g * 1.10)::numeric(9, 2) AS price, ARRAY[g, NULL, -g] AS list
     FROM generate_series(1, $1::int) AS g`,
    [random(300)],
  );
const fail: Action = ({ table, random }) =>
  both(
    ['SELECT 1 / 0', 'SELEC 1', 'SELECT nothing', `SELECT 1 / (id - id) FROM ${table}`, "SELECT 'x'::int"][
      random(5)
    ] ?? '',
  );
const failLate: Action = ({ random }) =>
  both('SELECT repeat(g::text, 50), 1 / (500 - g) FROM generate_series(1, $1::int) AS g', [
    400 + random(200),
  ]);
const alter: Action = ({ table, random }) =>
  both(`ALTER TABLE ${table} ALTER n TYPE ${['int4', 'int8', 'numeric'][random(3)]}`);
const widen: Action = async ({ table, random }) => {
  const column = `c${random(3)}`;
  return await both(
    random(2) === 0
      ? `ALTER TABLE ${table} ADD COLUMN IF NOT EXISTS ${column} int DEFAULT 5`
      : `ALTER TABLE ${table} DROP COLUMN IF EXISTS ${column}`,
  );
};

const stream: Action = async ({ random }) => {
  const count = random(700);
  const sql = 'SELECT g AS n, repeat($2, g % 40) AS t FROM generate_series(1, $1::int) AS g';
  const streamed = await engine
    .stream({ text: sql, values: [count, 'ü'] }, undefined, { yieldPer: 1 + random(200) })
    .all();
  return { sql, ours: streamed, theirs: await theirs(sql, [count, 'ü']) };
};

const cancelled: Action = async ({ random }) => {
  const sql = 'SELECT pg_sleep(30)';
  const work = engine.execute(text(sql), undefined, { timeout: 1 + random(5) });
  const failure: unknown = await work.then(undefined, (error: unknown) => error);
  return { sql, ours: failure instanceof QueryCanceledError || failure, theirs: true };
};

const many: Action = async (caller) => {
  const sql = `INSERT INTO ${caller.table} (id, n, note, more) VALUES (:id, :n, :note, :more)`;
  const rows = Array.from({ length: 4 + caller.random(20) }, () => rowOf(caller));
  const sets = rows.map(([id, n, note, more]) => ({ id, n, note, more }));
  const answer = await engine.execute(text(sql), sets).then(() => 'stored', refusedState);
  const expected = await inTransaction(rows.map((values) => [insertSql(caller.table), values]));
  return { sql, ours: answer, theirs: expected };
};

async function inTransaction(
  statements: readonly (readonly [string, readonly unknown[]])[],
): Promise<string> {
  const client = await plain.connect();
  try {
    await client.query('BEGIN');
    for (const [sql, values] of statements) await client.query(sql, [...values]);
    await client.query('COMMIT');
    return 'stored';
  } catch (error) {
    await client.query('ROLLBACK');
    return refusedState(error);
  } finally {
    client.release();
  }
}

const transaction: Action = async (caller) => {
  const rows = [rowOf(caller), rowOf(caller), rowOf(caller)];
  const sql = insertSql(caller.table);
  const work = engine.transaction(async () => {
    for (const values of rows) await engine.execDriverSql(sql, values);
  });
  const answer = await work.then(() => 'stored', refusedState);
  // A plan that DDL made stale is the user's error inside a transaction: all of it was rolled back.
  if (answer === '0A000') return { sql, ours: answer, theirs: answer };
  return { sql, ours: answer, theirs: await inTransaction(rows.map((values) => [sql, values])) };
};

const ACTIONS: readonly Action[] = [
  insert,
  read,
  types,
  fail,
  failLate,
  alter,
  widen,
  stream,
  cancelled,
  many,
  transaction,
  // Twice: what finds the state that the others have left.
  insert,
  read,
  many,
];

beforeAll(async () => {
  database = await createDatabase('fuzz');
  await database.query('CREATE SCHEMA ours; CREATE SCHEMA theirs');
  const tables = Array.from({ length: CALLERS }, (_, index) => `t${index}`);
  for (const schema of ['ours', 'theirs']) {
    const definition = '(id int PRIMARY KEY, n int4, note text, more jsonb)';
    await database.query(tables.map((table) => `CREATE TABLE ${schema}.${table} ${definition}`).join('; '));
  }
  engine = createAsyncEngine(database.url, {
    poolSize: 6,
    maxOverflow: 0,
    preparedStatementCacheSize: 20,
    settings: { search_path: 'ours' },
  });
  plain = new pg.Pool({ connectionString: database.url, max: 6, options: '-c search_path=theirs' });
});

afterAll(async () => {
  await engine.aclose();
  await plain.end();
  await database.drop();
});

it(
  `gives 64 callers of mixed statements the answers of a plain client (FUZZ_SEED=${SEED})`,
  { timeout: 60_000 + STATEMENTS * 60 },
  async () => {
    const share = Math.ceil(STATEMENTS / CALLERS);
    const callers = Array.from({ length: CALLERS }, (_, index) => ({
      table: `t${index}`,
      random: randomOf(SEED * 1_000 + index),
    }));
    await Promise.all(
      callers.map(async (caller) => {
        for (let turn = 0; turn < share; turn += 1) {
          const action = ACTIONS[caller.random(ACTIONS.length)] as Action;
          const answer = await action(caller);
          expect(answer.ours, `${caller.table}, turn ${turn}: ${answer.sql}`).toEqual(answer.theirs);
        }
      }),
    );
    expect(engine.pool.checkedOut()).toBe(0);
  },
);
