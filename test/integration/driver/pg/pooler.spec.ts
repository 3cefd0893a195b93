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

const STATEMENTS = Number(process.env['POOLER_STATEMENTS'] ?? 900);
const SEED = Number(process.env['POOLER_SEED'] ?? Date.now() % 100_000);
const version = pgbouncerVersion();

let database: TestDatabase;
let pooler: PgBouncer;
const engines: AsyncEngine[] = [];

/** What each engine of a test has logged, in the order of `engines`. */
const logs: LogLines[] = [];

function open(options: AsyncEngineOptions = {}): AsyncEngine {
  const logger = new LogLines();
  logs.push(logger);
  const engine = createAsyncEngine(pooler.url, {
    poolSize: 3,
    maxOverflow: 0,
    logger,
    ...options,
  });
  engines.push(engine);
  return engine;
}

/** Three programs that know nothing of each other, each with statements of its own. */
const PROGRAMS = [
  (id: number) => ({ statement: text('SELECT id, 1 AS program FROM place WHERE id = :id'), id, program: 1 }),
  (id: number) => ({
    statement: text('SELECT 2 AS program, id FROM place WHERE id = :id::int'),
    id,
    program: 2,
  }),
  (id: number) => ({
    statement: text('UPDATE place SET visits = visits + 1 WHERE id = :id RETURNING id, 3 AS program'),
    id,
    program: 3,
  }),
];

async function askAll(programs: readonly AsyncEngine[]): Promise<{ wrong: unknown[]; errors: unknown[] }> {
  const wrong: unknown[] = [];
  const errors: unknown[] = [];
  const random = randomOf(SEED);
  const each = STATEMENTS / programs.length;
  await Promise.all(
    programs.map(async (engine, index) => {
      for (let count = 0; count < each; count += 1) {
        const { statement, id, program } = (PROGRAMS[index] ?? PROGRAMS[0])!(random(100));
        const work = (): Promise<unknown> => engine.execute(statement, { id }).one();
        const row = await (random(5) === 0 ? engine.transaction(work) : work()).catch((error: unknown) => {
          errors.push(error);
          return { id, program };
        });
        const got = row as { id: number; program: number };
        if (got.id !== id || got.program !== program) {
          wrong.push({ row, id, program });
        }
      }
    }),
  );
  return { wrong, errors };
}

describe.skipIf(version === undefined)(
  `behind PgBouncer ${version} (skipped without the program; seed ${SEED})`,
  () => {
    beforeAll(async () => {
      database = await createDatabase('pooler');
      await database.query(
        'CREATE TABLE place AS SELECT g AS id, 0 AS visits FROM generate_series(0, 99) AS g; CREATE TABLE item (name text PRIMARY KEY)',
      );
      // From 1.21 on it may follow names itself; here it must not.
      const untracked = (version ?? 0) >= 1.21 ? { max_prepared_statements: '0' } : {};
      pooler = await PgBouncer.start(database.url, { default_pool_size: '2', ...untracked });
    });
    afterEach(async () => {
      logs.length = 0;
      for (const engine of engines.splice(0)) {
        expect(engine.pool.checkedOut()).toBe(0);
        await engine.aclose();
      }
    });
    afterAll(async () => {
      await pooler[Symbol.asyncDispose]();
      await database.drop();
    });

    it('three programs get their own rows and no error without the option, and each engine warns once', async () => {
      const programs = [open(), open(), open()];
      const { wrong, errors } = await askAll(programs);
      expect(wrong).toEqual([]);
      expect(errors).toEqual([]);
      const warnings = logs.map(({ lines }) =>
        lines.filter(({ level }) => level === 'warn').map(({ message }) => message),
      );
      for (const lines of warnings) expect(lines.length).toBeLessThanOrEqual(1);
      expect(warnings.flat().join()).toContain('pgbouncer: true');
    });

    describe('with pgbouncer: true', () => {
      it('three programs get their own rows, no error and no warning', async () => {
        const programs = [1, 2, 3].map(() => open({ pgbouncer: true }));
        expect(await askAll(programs)).toEqual({ wrong: [], errors: [] });
        expect(logs.flatMap(({ lines }) => lines)).toEqual([]);
      });

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
