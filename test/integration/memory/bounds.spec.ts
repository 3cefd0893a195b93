import { createAsyncEngine, text, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sqlStateOf } from '../../../lib/engine/errors/sqlstate.js';
import { collectGarbage } from '../../support/process/garbage.js';
import { growthThatRecurs } from '../../support/process/growth.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';

/** LONG=1: as often as the promise says; else a part of it. */
const TIMES = process.env['LONG'] === '1' ? 100_000 : 3_000;
const COUNT = TIMES.toLocaleString('en');
const AT_ONCE = 100;
/** Of the long run 20 bytes each, of the short one 350: room for what a garbage collector leaves behind. */
const FLAT = process.env['LONG'] === '1' ? 2 ** 20 : 2 ** 19;
const TIMEOUT = 30_000 + TIMES * 8;

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase('memory');
  await database.query('CREATE TABLE items (name text)');
});
afterAll(() => database.drop());

/** Bytes by which `work`, done half of {@link TIMES}, makes the heap grow when half of it was done before. */
async function growthOf(work: (index: number) => Promise<unknown>): Promise<number> {
  const half = TIMES / 2;
  const run = async (first: number): Promise<number> => {
    for (let index = first; index < first + half; index += AT_ONCE)
      await Promise.all(Array.from({ length: AT_ONCE }, (_, offset) => work(index + offset)));
    await collectGarbage();
    await collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  let size = await run(0);
  let next = half;
  return growthThatRecurs(FLAT, async () => {
    const [before, first] = [size, next];
    next += half;
    size = await run(first);
    return size - before;
  });
}

/** The same of an engine of its own. */
async function growthOver(
  work: (engine: AsyncEngine, index: number) => Promise<unknown>,
  options?: Parameters<typeof createAsyncEngine>[1],
): Promise<number> {
  const engine = createAsyncEngine(database.url, { poolSize: 4, maxOverflow: 0, ...options });
  try {
    const growth = await growthOf((index) => work(engine, index));
    expect(engine.pool.checkedOut()).toBe(0);
    return growth;
  } finally {
    await engine.aclose();
  }
}

it(`${COUNT} statements of different texts leave the heap flat`, { timeout: TIMEOUT }, async () => {
  const growth = await growthOver((engine, index) =>
    engine.execute(text(`SELECT ${index} AS n, :a::int AS a`), { a: 1 }).one(),
  );
  expect(growth).toBeLessThan(FLAT);
});

it(
  'different texts take no more of the server than the sessions may keep',
  { timeout: TIMEOUT },
  async () => {
    const sizes = { queryCacheSize: 50, preparedStatementCacheSize: 20 };
    const engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0, ...sizes });
    for (let index = 0; index < TIMES / 10; index += 1)
      await engine.execute(text(`SELECT ${index} AS n`)).one();
    const prepared = await engine.scalar<string>(text('SELECT count(*) FROM pg_prepared_statements'));
    // What was evicted by this question's own Parse is closed by the next batch.
    expect(Number(prepared)).toBeLessThanOrEqual(21);
    expect(engine.compiledCache.size).toBeLessThanOrEqual(50);
    await engine.aclose();
  },
);

it(`${COUNT} transactions with hooks leave the heap flat`, { timeout: TIMEOUT }, async () => {
  let heard = 0;
  const listen = (): void => void (heard += 1);
  const growth = await growthOver((engine) =>
    engine.transaction(() => {
      engine.beforeCommit(listen);
      engine.afterCommit(listen);
      engine.afterRollback(listen);
      engine.afterCompletion(listen);
    }),
  );
  expect([3 * TIMES, 4.5 * TIMES]).toContain(heard);
  expect(growth).toBeLessThan(FLAT);
});

it(
  `${COUNT} nested transactions with statements, a tenth of them failing, leave the heap flat`,
  { timeout: TIMEOUT },
  async () => {
    const growth = await growthOver(async (engine, index) => {
      const failure = new RangeError('rolled back');
      const work = engine.transaction(async () => {
        await engine.transaction(() => engine.execute(text('SELECT :n::int'), { n: index }).one());
        if (index % 10 === 0) throw failure;
      });
      await work.catch((error: unknown) => expect(error).toBe(failure));
    });
    expect(growth).toBeLessThan(FLAT);
  },
);

it(`${COUNT} scopes leave the heap flat`, { timeout: TIMEOUT }, async () => {
  const growth = await growthOver((engine) =>
    engine.scope(async () => {
      const { connection } = engine.currentScope() ?? {};
      await connection?.execute(text('SELECT 1')).one();
      connection?.on('commit', () => undefined);
    }),
  );
  expect(growth).toBeLessThan(FLAT);
});

it(
  `${COUNT} callers who waited for a connection, or gave up, leave the heap flat`,
  { timeout: TIMEOUT },
  async () => {
    const aborted = new AbortController();
    const growth = await growthOver(async (engine, index) => {
      const signal = index % 3 === 0 ? aborted.signal : undefined;
      const pooled = await engine.pool.connect({ signal, timeout: 60_000 });
      await pooled.close();
    });
    expect(growth).toBeLessThan(FLAT);
  },
);

it(
  `${COUNT} statements with a signal that never ends, a timeout, and a listener leave the heap flat`,
  { timeout: TIMEOUT },
  async () => {
    const { signal } = new AbortController();
    let heard = 0;
    const growth = await growthOver(async (engine, index) => {
      const listen = (): void => void (heard += 1);
      engine.on('afterExecute', listen);
      await engine.execute(text('SELECT :n::int'), { n: index }, { signal, timeout: 60_000 }).one();
      engine.off('afterExecute', listen);
    });
    expect(heard).toBeGreaterThanOrEqual(TIMES);
    expect(growth).toBeLessThan(FLAT);
  },
);

it(`${COUNT} connections that fail a statement leave the heap flat`, { timeout: TIMEOUT }, async () => {
  const growth = await growthOver(async (engine) => {
    const work = engine.connect((connection) => connection.execute(text('SELECT 1 / 0')));
    // Not expect().rejects: vitest keeps what that gives until the test has ended.
    const failure: unknown = await work.catch((error: unknown) => error);
    expect(sqlStateOf(failure)).toBe('22012');
  });
  expect(growth).toBeLessThan(FLAT);
});

it(`${COUNT} streams left early leave the heap flat`, { timeout: TIMEOUT }, async () => {
  const result = text('SELECT n FROM generate_series(1, 100) AS n');
  const growth = await growthOver(async (engine, index) => {
    if (index % 10 === 0) expect(await engine.stream(result, {}, { yieldPer: 5 }).first()).toEqual({ n: 1 });
  });
  expect(growth).toBeLessThan(FLAT);
});
