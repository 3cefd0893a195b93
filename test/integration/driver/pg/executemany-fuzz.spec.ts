import { createAsyncEngine, text, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { randomOf } from '../../../support/random.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';

/** A failing run is repeated by its seed: FUZZ_SEED=123 npx vitest run executemany-fuzz. */
const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000);
const ROUNDS = Number(process.env['FUZZ_SIZE'] ?? 1_200) / 10;

const STRANGE = ['', ' ', 'NULL', '{a,b}', '"', '\\', "'", 'ä€😀', '[]', '{}', ',', 'a\nb', '\t', '$1', '1'];

/** Types with values of their own, and of others that some of them take and some refuse. */
const TYPES: readonly (readonly [type: string, values: readonly unknown[]])[] = [
  ['int4', [0, -1, 2_147_483_647, 2_147_483_648, ' 7 ', 1.5, true, null, '', [1], '0x1F']],
  ['int8', ['9223372036854775807', 12n, 2 ** 53, -5, null, 'x']],
  ['float8', [0.1, -0, Number.NaN, Infinity, '1e3', null, true]],
  ['numeric(6, 2)', ['1.005', 1.5, 'NaN', 99_999, null]],
  ['bool', [true, false, 'yes', 0, 1, 'maybe', null]],
  ['text', [...STRANGE, 1, true, null, { a: 1 }, [1, 'b'], new Date(0)]],
  ['varchar(3)', ['abc', 'ab ', 'abcd', 'abc  ', null, 'äöü']],
  ['char(3)', ['abc', 'ab', 'abcd', null]],
  ['date', ['2024-02-29', new Date(1e12), 'infinity', '0044-03-15 BC', null, '2024-02-30']],
  ['timestamptz', [new Date(1e12), '2024-01-01 00:00+05:30', Infinity, null]],
  ['json', [{ a: '"\\' }, [1, { b: null }], [], '{}', '[1]', 1, null, STRANGE, 'no json']],
  ['jsonb', [{ a: 'ä' }, [[]], [], '"x"', true, null, new Map([[1, 2]])]],
  ['bytea', [Buffer.from([0, 255]), '\\x01', new Uint8Array([1]).buffer, null]],
  ['text[]', [['a', null], [], [['x'], ['y']], '{a}', null]],
  ['jsonb[]', [[{ a: 1 }], [], null]],
  ['mood', ['sad', 'ok', 'bad', null]],
  ['mood[]', [['sad'], [], ['bad'], null]],
  ['positive', [1, 2, -3, null]],
  ['document', [{ a: 1 }, [1], [], '{}', null]],
];

let database: TestDatabase;
let engine: AsyncEngine;

beforeAll(async () => {
  database = await createDatabase('manyfuzz');
  await database.query(`CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE DOMAIN document AS jsonb; CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1), (2)`);
  engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0, insertmanyvaluesPageSize: 7 });
});

afterAll(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.aclose();
  await database.drop();
});

const dump = (sql: string) => database.query(sql);

async function outcome(work: () => Promise<unknown>): Promise<string> {
  return await work().then(
    () => 'stored',
    (error: { sqlState?: string; code?: string }) => error.sqlState ?? error.code ?? String(error),
  );
}

it(
  `stores what the same rows store one by one in a transaction, or fails as they do (seed ${SEED})`,
  async () => {
    const random = randomOf(SEED);
    const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
    for (let round = 0; round < ROUNDS; round += 1) {
      const [type, values] = pick(TYPES);
      const isChecked = random(3) === 0;
      // One for each round: what another session changes may be noticed late.
      const table = `fuzz${round}`;
      await database.query(`CREATE TABLE ${table} (
      place serial, value ${type}, note text ${isChecked ? 'NOT NULL' : ''}, parent int REFERENCES parent)`);
      const insert = text(
        `INSERT INTO ${table} (note, value, parent) VALUES (:note, :value, :parent)${pick(['', ' RETURNING place'])}`,
      );
      const sets = Array.from({ length: 2 + random(20) }, () => ({
        value: pick(values),
        note: pick([...STRANGE, ...(isChecked ? [null] : [])]),
        parent: pick([1, 2, null, ...(random(20) === 0 ? [3] : [])]),
      }));
      const rows = `SELECT place, value::text, note, parent FROM ${table} ORDER BY place`;
      const oneByOne = await outcome(() =>
        engine.transaction(async () => {
          for (const set of sets) await engine.execute(insert, set);
        }),
      );
      const expected = await dump(rows);
      for (const session of ['cold', 'warm']) {
        await database.query(`TRUNCATE ${table} RESTART IDENTITY`);
        const together = await outcome(() => Promise.resolve(engine.execute(insert, sets)));
        expect({ round, session, type, sets, together, rows: await dump(rows) }).toEqual({
          round,
          session,
          type,
          sets,
          together: oneByOne === 'stored' ? 'stored' : expect.any(String),
          rows: expected,
        });
        if (oneByOne !== 'stored')
          expect({ round, type, sets, together }).not.toMatchObject({ together: 'stored' });
      }
      await database.query(`DROP TABLE ${table}`);
    }
  },
  120_000 + ROUNDS * 200,
);
