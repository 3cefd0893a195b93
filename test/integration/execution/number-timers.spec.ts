import { createAsyncEngine, sql, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';

const ONE = sql`SELECT 1`;
let database: TestDatabase;
let engine: AsyncEngine;

beforeAll(async () => {
  database = await createDatabase('number_timers');
});
beforeEach(() => {
  const { setTimeout: start, clearTimeout: stop } = globalThis;
  const timers: NodeJS.Timeout[] = [];
  vi.stubGlobal('setTimeout', (...given: Parameters<typeof start>) => timers.push(start(...given)));
  vi.stubGlobal('clearTimeout', (timer?: number) => stop(timers[(timer ?? 0) - 1]));
  engine = createAsyncEngine(database.url, {
    poolSize: 1,
    maxOverflow: 0,
    poolIdleTimeout: 60_000,
    poolLeakThreshold: 60_000,
    poolQueueTarget: 1_000,
  });
});
afterEach(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.aclose();
  vi.unstubAllGlobals();
});
afterAll(() => database.drop());

it.each<[string, () => PromiseLike<unknown>]>([
  ['a statement with a timeout', () => engine.execute(ONE, undefined, { timeout: 60_000 })],
  ['a transaction with a timeout', () => engine.transaction(() => engine.execute(ONE), { timeout: 60_000 })],
  ['a stream that is left early', () => engine.stream(sql`SELECT generate_series(1, 5000)`).first()],
  ['a wait for a connection', () => Promise.all([1, 2].map(() => engine.connect((one) => one.execute(ONE))))],
])('timers may be numbers, as in jsdom: %s', async (_, work) => {
  expect(await work()).toBeDefined();
});

it('timers may be numbers, as in jsdom: a statement that is canceled', async () => {
  const late = engine.execute(sql`SELECT pg_sleep(60)`, undefined, { timeout: 50 });
  await expect(late).rejects.toMatchObject({ sqlState: '57014' });
  await engine.execute(ONE);
});
