import {
  createAsyncEngine,
  EngineError,
  sql,
  text,
  type AsyncEngine,
  type AsyncEngineOptions,
} from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { LogLines } from '../../../support/doubles/log-lines.js';
import { randomOf } from '../../../support/random.js';
import { PgBouncer, pgbouncerVersion } from '../../../support/server/pgbouncer.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';
import { TestEngines } from '../../../support/test-engines.js';

const STATEMENTS = Number(process.env['POOLER_STATEMENTS'] ?? 900);
const LIMIT = 20_000 + 20 * STATEMENTS;
const SEED = Number(process.env['POOLER_SEED'] ?? Date.now() % 100_000);
const version = pgbouncerVersion();

let database: TestDatabase;
let pooler: PgBouncer;
const engines = new TestEngines();

/** What each engine of a test has logged, in the order of `engines`. */
const logs: LogLines[] = [];

function open(options: AsyncEngineOptions = {}): AsyncEngine {
  const logger = new LogLines();
  logs.push(logger);
  return engines.add(
    createAsyncEngine(pooler.url, {
      poolSize: 3,
      maxOverflow: 0,
      logger,
      ...options,
    }),
  );
}

/** The statements of one program; those of the others differ from them by a number alone. */
const textsOf = (program: number) =>
  [
    `SELECT id, ${program} AS program FROM place WHERE id = :id`,
    `SELECT ${program} AS program, id FROM place WHERE id = :id::int`,
    `UPDATE place SET visits = visits + 1 WHERE id = :id RETURNING id, ${program} AS program`,
    `INSERT INTO visit (program, id) VALUES (${program}, :id) RETURNING id, program`,
  ].map((each) => text<{ id: number; program: number }>(each));

interface Tally {
  readonly wrong: unknown[];
  readonly errors: unknown[];
  /** Visits that were reported as stored. */
  visits: number;
}

/** Runs the statements of `program` in a mixture that `random` draws, one or two in a transaction among them. */
async function runProgram(
  engine: AsyncEngine,
  program: number,
  tally: Tally,
  random: (below: number) => number,
) {
  const texts = textsOf(program);
  const ask = async (id: number): Promise<void> => {
    const index = random(texts.length);
    const row = await engine.execute(texts[index] ?? texts[0]!, { id }).one();
    if (row.id !== id || row.program !== program) tally.wrong.push({ row, id, program });
    if (index > 1) tally.visits += 1;
  };
  const pair = async (): Promise<void> => {
    // In one order, so that no two of them wait for each other.
    const ids = [random(100), random(100)].toSorted((one, other) => one - other);
    for (const id of ids) await ask(id);
  };
  for (let left = STATEMENTS / 3; left > 0; left -= 1) {
    const work = random(5) === 0 ? engine.transaction(pair) : ask(random(100));
    await work.catch((error: unknown) => tally.errors.push(error));
  }
}

async function runAll(programs: readonly AsyncEngine[]): Promise<Tally> {
  await database.query('UPDATE place SET visits = 0; TRUNCATE visit');
  const tally: Tally = { wrong: [], errors: [], visits: 0 };
  await Promise.all(
    programs.map((engine, index) => runProgram(engine, index + 1, tally, randomOf(SEED + index))),
  );
  expect(tally).toMatchObject({ wrong: [], errors: [] });
  const [stored] = await database.query<{ visits: number }>(
    'SELECT ((SELECT sum(visits) FROM place) + (SELECT count(*) FROM visit))::int AS visits',
  );
  expect(stored).toEqual({ visits: tally.visits });
  return tally;
}

describe.skipIf(version === undefined)(
  `behind PgBouncer ${version} (skipped without the program; seed ${SEED})`,
  () => {
    beforeAll(async () => {
      database = await createDatabase('pooler');
      await database.query(
        'CREATE TABLE place AS SELECT g AS id, 0 AS visits FROM generate_series(0, 99) AS g; CREATE TABLE item (name text PRIMARY KEY); CREATE TABLE visit (program int, id int)',
      );
      // From 1.21 on it may follow names itself; here it must not.
      const untracked = (version ?? 0) >= 1.21 ? { max_prepared_statements: '0' } : {};
      pooler = await PgBouncer.start(database.url, { default_pool_size: '2', ...untracked });
    });
    afterEach(async () => {
      logs.length = 0;
      await engines.end();
    });
    afterAll(async () => {
      await pooler[Symbol.asyncDispose]();
      await database.drop();
    });

    it(
      'three programs get their own rows and no error without the option, and each engine warns once',
      async () => {
        const programs = [open(), open(), open()];
        const { wrong, errors } = await runAll(programs);
        expect(wrong).toEqual([]);
        expect(errors).toEqual([]);
        const warnings = logs.map(({ lines }) =>
          lines.filter(({ level }) => level === 'warn').map(({ message }) => message),
        );
        for (const lines of warnings) expect(lines.length).toBeLessThanOrEqual(1);
        expect(warnings.flat().join()).toContain('pgbouncer: true');
      },
      LIMIT,
    );

    it('no transaction fails by a name that its session does not have', async () => {
      const engine = open({ poolSize: 1 });
      const counted = text('SELECT count(*)::int FROM place WHERE id < :id');
      expect(await engine.scalar(counted, { id: 7 })).toBe(7);
      // Keeps the session on which that was parsed.
      await using other = await open({ pgbouncer: true }).connect();
      await other.execute(sql`SELECT 1`);
      const inTransaction = engine.transaction(async () => {
        await engine.execute(sql`SELECT 2`);
        return await engine.scalar(counted, { id: 8 });
      });
      expect(await inTransaction).toBe(8);
    });

    describe('with pgbouncer: true', () => {
      it(
        'three programs get their own rows, no error and no warning',
        async () => {
          const programs = [1, 2, 3].map(() => open({ pgbouncer: true }));
          expect(await runAll(programs)).toMatchObject({ wrong: [], errors: [] });
          expect(logs.flatMap(({ lines }) => lines)).toEqual([]);
        },
        LIMIT,
      );

      it('transactions, savepoints, streams and lists of parameters work', async () => {
        const engine = open({ pgbouncer: true });
        const insert = text('INSERT INTO item (name) VALUES (:name)');
        await engine.transaction(async () => {
          await engine.execute(insert, { name: 'kept' });
          const failing = engine.transaction(() => engine.execute(insert, { name: 'kept' }));
          await expect(failing).rejects.toMatchObject({ sqlState: '23505' });
          await engine.execute(insert, [{ name: 'a' }, { name: 'b' }]);
        });
        await expect(engine.execute(insert, [{ name: 'c' }, { name: 'a' }])).rejects.toBeInstanceOf(
          EngineError,
        );
        const names: string[] = [];
        for await (const { name } of engine.stream<{ name: string }>(
          sql`SELECT name FROM item ORDER BY name`,
        )) {
          names.push(name);
        }
        expect(names).toEqual(['a', 'b', 'kept']);
      });

      it('COPY works in both directions, also where it is refused', async () => {
        const engine = open({ pgbouncer: true });
        await engine.execute(sql`CREATE TABLE IF NOT EXISTS copied (id int PRIMARY KEY)`);
        const copy = 'COPY copied FROM STDIN';
        await engine.copyFrom(copy, ['1\n', '2\n']);
        await engine.copyFrom(copy, '1\n').catch(() => undefined);
        await engine.transaction(() => engine.copyFrom(copy, '3\n'));
        const rows = await engine.copyTo('COPY (TABLE copied ORDER BY id) TO STDOUT').toArray();
        expect(Buffer.concat(rows).toString()).toBe('1\n2\n3\n');
        expect(await engine.scalar(sql`SELECT count(*)::int FROM copied`)).toBe(3);
      });

      it('settings hold for one statement or transaction, and reach nobody else', async () => {
        const engine = open({ pgbouncer: true });
        const tenant = () => engine.scalar<string | null>(text("SELECT current_setting('app.tenant', true)"));
        const inTransaction = await engine.transaction(tenant, { settings: { 'app.tenant': 'red' } });
        const own = engine.executionOptions({ settings: { 'app.tenant': 'blue' } });
        const inStatement = await own.scalar(text("SELECT current_setting('app.tenant', true)"));
        const others = await Promise.all(Array.from({ length: 20 }, tenant));
        expect([inTransaction, inStatement]).toEqual(['red', 'blue']);
        expect(new Set(others.map((value) => value ?? ''))).toEqual(new Set(['']));
      });
    });
  },
);
