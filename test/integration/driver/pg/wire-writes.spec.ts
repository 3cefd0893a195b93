import { createAsyncEngine, sql, text, type AsyncEngine } from 'nest-async-engine/engine';
import type { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, it, vi, type MockInstance } from 'vitest';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';

let database: TestDatabase;
let engine: AsyncEngine;
let writes: MockInstance;

const select = text('SELECT :n::int AS n');

beforeAll(async () => {
  database = await createDatabase('writes');
  engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0 });
  const pooled = await engine.rawConnection();
  writes = vi.spyOn((pooled.driverConnection as Client).connection.stream, 'write');
  await pooled.close();
  // Parsed, and known to everyone.
  await engine.execute(select, { n: 0 }).one();
});
beforeEach(() => void writes.mockClear());
afterAll(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.aclose();
  await database.drop();
});

it('a statement leaves in one write, before execute() returns', async () => {
  const pending = engine.execute(select, { n: 1 });
  expect(writes).toHaveBeenCalledTimes(1);
  expect(await pending.one()).toEqual({ n: 1 });
  expect(writes).toHaveBeenCalledTimes(1);
});

it('a statement of a new text is parsed, bound and described in one write', async () => {
  expect(await engine.execute(sql`SELECT ${'x'}::text AS fresh`).one()).toEqual({ fresh: 'x' });
  expect(writes).toHaveBeenCalledTimes(1);
});

it('BEGIN leaves in the write of the first statement, and COMMIT in one of its own', async () => {
  await engine.transaction(async () => {
    const pending = engine.execute(select, { n: 1 });
    await pending.one();
    expect(writes).toHaveBeenCalledTimes(1);
  });
  expect(writes).toHaveBeenCalledTimes(2);
});

it('all sets of a page leave in one write, however much that is', async () => {
  const sets = Array.from({ length: 500 }, (_, n) => ({ n, note: 'x'.repeat(1_000) }));
  await engine.execute(text('SELECT :n::int AS n, :note::text AS note'), sets);
  expect(writes).toHaveBeenCalledTimes(1);
});

it('each batch of a stream is asked for in one write', async () => {
  const rows = text<{ readonly n: number }>('SELECT n FROM generate_series(1, 30) AS n');
  const seen: number[] = [];
  for await (const { n } of engine.stream(rows, {}, { yieldPer: 10 })) seen.push(n);
  expect(seen).toHaveLength(30);
  // Four fetches, the last one empty, and the end of the transaction with its portal.
  expect(writes.mock.calls.length).toBeLessThanOrEqual(6);
});
