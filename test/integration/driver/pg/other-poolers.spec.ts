import {
  createAsyncEngine,
  sql,
  text,
  type AsyncEngine,
  type AsyncEngineOptions,
} from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { failureOf, MemoryLogger } from '../../../support/items.js';
import { eventually } from '../../../support/process/barrier.js';
import { startFaultyProxy } from '../../../support/server/faulty-proxy.js';
import { startHaproxy } from '../../../support/server/haproxy.js';
import { startPgpool } from '../../../support/server/pgpool.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';
import { versionOf } from '../../../support/server/program.js';
import { storedNames } from '../../../support/process/outcome.js';
import { TestEngines } from '../../../support/test-engines.js';

let database: TestDatabase;
const engines = new TestEngines();

function open(url: string, options: AsyncEngineOptions = {}): AsyncEngine {
  return engines.add(
    createAsyncEngine(url, {
      poolSize: 3,
      maxOverflow: 0,
      logger: new MemoryLogger(),
      ...options,
    }),
  );
}

const insert = text('INSERT INTO item (name) VALUES (:name)');

beforeAll(async () => {
  database = await createDatabase('other_poolers');
  await database.query('CREATE TABLE item (name text PRIMARY KEY)');
});
afterEach(async () => {
  await engines.end();
  await database.query('TRUNCATE item');
});
afterAll(() => database.drop());

describe.skipIf(versionOf('pgpool') === undefined)('behind Pgpool-II (skipped without the program)', () => {
  let pooler: Awaited<ReturnType<typeof startPgpool>>;

  beforeAll(async () => {
    pooler = await startPgpool(database.url);
  });
  afterAll(() => pooler[Symbol.asyncDispose]());

  it.each<[AsyncEngineOptions]>([[{}], [{ pgbouncer: true }]])(
    'every caller gets its own rows: %o',
    async (options) => {
      const engine = open(pooler.url, options);
      const ask = async (n: number): Promise<unknown> => {
        const work = () => engine.scalar(sql`SELECT ${n}::int`);
        return n % 3 === 0 ? await engine.transaction(work) : await work();
      };
      const asked = Array.from({ length: 90 }, (_, n) => n);
      expect(await Promise.all(asked.map(ask))).toEqual(asked);
    },
  );

  describe('with pgbouncer: true', () => {
    it('a list of rows, and one of other statements, is stored as a whole or not at all', async () => {
      const engine = open(pooler.url, { pgbouncer: true });
      const rows = ['a', 'b', 'c'].map((name) => ({ name }));
      expect(await failureOf(engine.execute(insert, [...rows, { name: 'b' }]))).toBeInstanceOf(Error);
      expect(await storedNames(database, 'item')).toEqual([]);
      await engine.execute(insert, rows);
      const rename = text('UPDATE item SET name = :to WHERE name = :name');
      const renames = [
        { name: 'a', to: 'x' },
        { name: 'b', to: 'c' },
      ];
      expect(await failureOf(engine.execute(rename, renames))).toBeInstanceOf(Error);
      expect(await storedNames(database, 'item')).toEqual(['a', 'b', 'c']);
      await engine.execute(rename, renames.slice(0, 1));
      expect(await storedNames(database, 'item')).toEqual(['b', 'c', 'x']);
    });

    it('settings of a statement hold for it, and a savepoint undoes what failed in it', async () => {
      const engine = open(pooler.url, { pgbouncer: true });
      const own = engine.executionOptions({ settings: { 'app.tenant': 'red' } });
      expect(await own.scalar(sql`SELECT current_setting('app.tenant', TRUE)`)).toBe('red');
      await engine.transaction(async () => {
        await engine.execute(insert, { name: 'a' });
        await engine.transaction(() => engine.execute(insert, { name: 'a' })).catch(() => undefined);
        await engine.execute(insert, { name: 'b' });
      });
      expect(await storedNames(database, 'item')).toEqual(['a', 'b']);
    });
  });
});

describe.skipIf(versionOf('haproxy', '-v') === undefined)(
  'behind HAProxy (skipped without the program)',
  () => {
    it('a session that was cut off while it was idle is replaced', async () => {
      await using balancer = await startHaproxy([database.url], 700);
      const engine = open(balancer.url, { poolSize: 1, poolPrePing: true });
      const session = (): Promise<number | undefined> => engine.scalar<number>(sql`SELECT pg_backend_pid()`);
      const first = await session();
      await eventually(async () => expect(await database.sessions()).toEqual([]));
      expect(await session()).not.toBe(first);
    });

    it('a server that dies takes its own sessions with it, and the next ones are opened on the other', async () => {
      await using dying = await startFaultyProxy(database.url);
      await using living = await startFaultyProxy(database.url);
      await using balancer = await startHaproxy([dying.url, living.url], 60_000);
      const engine = open(balancer.url, { poolSize: 4 });
      const readAll = () =>
        Promise.allSettled(
          Array.from({ length: 4 }, (_, n) => engine.scalar(sql`SELECT ${n}::int FROM pg_sleep(0.01)`)),
        );
      await readAll();
      await dying.close();
      // A session may be lost under the statement that it runs, once.
      const first = await readAll();
      expect(first.length).toBe(4);
      await eventually(async () => {
        expect((await readAll()).filter(({ status }) => status === 'rejected')).toEqual([]);
      });
      for (let count = 0; count < 20; count += 1)
        await engine.transaction(() => engine.execute(insert, { name: `n${count}` }));
      expect(await storedNames(database, 'item')).toHaveLength(20);
    });
  },
);
