import { createAsyncEngine, text, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startFaultyProxy, type FaultyProxy } from '../../../support/server/faulty-proxy.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';

/** How long the driver waits for an answer to a cancel request, or a session for that to its ROLLBACK, and some time to spare. */
const GRACE = 5_000 + 1_500;

let database: TestDatabase;

interface Line {
  readonly proxy: FaultyProxy;
  readonly engine: AsyncEngine;
}

/** A network of its own for each test, so that they can wait side by side. */
async function onALineThatDies(work: (line: Line) => Promise<void>): Promise<void> {
  const proxy = await startFaultyProxy(database.url);
  const logger = { log: () => undefined, warn: () => undefined, error: () => undefined };
  const engine = createAsyncEngine(proxy.url, { poolSize: 1, maxOverflow: 0, logger });
  try {
    await engine.execute(text('SELECT 1'));
    await work({ proxy, engine });
    proxy.resume();
    expect(engine.pool.checkedOut()).toBe(0);
    expect(await engine.scalar(text('SELECT 1'))).toBe(1);
  } finally {
    proxy.resume();
    await engine.aclose();
    await proxy.close();
  }
}

/** The time that `work` takes, whatever becomes of it. */
async function timeOf(work: PromiseLike<unknown>): Promise<number> {
  const start = performance.now();
  await Promise.allSettled([work]);
  return performance.now() - start;
}

beforeAll(async () => {
  database = await createDatabase('stall');
});

afterAll(() => database.drop());

describe.concurrent('on a half-open socket', () => {
  it('a statement with a timeout ends within that and the grace', () =>
    onALineThatDies(async ({ proxy, engine }) => {
      proxy.stall();
      const work = engine.execute(text('SELECT 1'), undefined, { timeout: 100 });
      const time = timeOf(work);
      await expect(work).rejects.toMatchObject({ code: 'CONNECTION_LOST', connectionInvalidated: true });
      expect(await time).toBeLessThan(100 + GRACE);
    }));

  it('a stream that is left ends within the grace, although its cursor cannot be closed', () =>
    onALineThatDies(async ({ proxy, engine }) => {
      const work = engine.transaction(async () => {
        for await (const { n } of engine.stream(text('SELECT generate_series(1, 10) AS n'))) {
          if (n !== 10) continue;
          proxy.stall();
          break;
        }
      });
      const time = timeOf(work);
      await expect(work).rejects.toMatchObject({ connectionInvalidated: true });
      expect(await time).toBeLessThan(GRACE);
    }));

  it('a transaction with a timeout ends within that and the grace', () =>
    onALineThatDies(async ({ proxy, engine }) => {
      const work = engine.transaction(
        async () => {
          await engine.execute(text('SELECT 1'));
          proxy.stall();
          await engine.execute(text('SELECT 2'));
        },
        { timeout: 200 },
      );
      const time = timeOf(work);
      await expect(work).rejects.toMatchObject({ code: 'TRANSACTION_TIMEOUT' });
      expect(await time).toBeLessThan(200 + GRACE);
    }));

  it('a connection in a transaction is given back', () =>
    onALineThatDies(async ({ proxy, engine }) => {
      const connection = await engine.connect();
      await connection.execute(text('SELECT 1'));
      proxy.stall();
      expect(await timeOf(connection.close())).toBeLessThan(GRACE);
    }));

  it('COMMIT ends within commitTimeout, and nobody knows its outcome', async () => {
    await using proxy = await startFaultyProxy(database.url);
    const engine = createAsyncEngine(proxy.url, { poolSize: 1, maxOverflow: 0, commitTimeout: 200 });
    const work = engine.transaction(async () => {
      await engine.execute(text('SELECT 1'));
      proxy.stall();
    });
    const time = timeOf(work);
    await expect(work).rejects.toMatchObject({
      code: 'COMMIT_OUTCOME_UNKNOWN',
      cause: { connectionInvalidated: true },
    });
    expect(await time).toBeLessThan(200 + 1_500);
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
  });

  it('a nested transaction ends, and the one around it', () =>
    onALineThatDies(async ({ proxy, engine }) => {
      const work = engine.transaction(() =>
        engine.transaction(async () => {
          await engine.execute(text('SELECT 1'));
          proxy.stall();
          throw new RangeError('the cause');
        }),
      );
      const time = timeOf(work);
      await expect(work).rejects.toThrow('the cause');
      expect(await time).toBeLessThan(GRACE);
    }));

  it('a raw connection that was left in a transaction is given back', () =>
    onALineThatDies(async ({ proxy, engine }) => {
      const pooled = await engine.rawConnection();
      await pooled.session.execute([], { text: 'BEGIN' });
      proxy.stall();
      expect(await timeOf(pooled.close())).toBeLessThan(GRACE);
    }));

  it('a stream that is left while it waits for rows ends', () =>
    onALineThatDies(async ({ proxy, engine }) => {
      const rows = engine.stream(text('SELECT generate_series(1, 1000)'), undefined, { yieldPer: 1 });
      const leave = async (): Promise<void> => {
        for await (const _ of rows) {
          proxy.stall();
          break;
        }
      };
      expect(await timeOf(leave())).toBeLessThan(2 * GRACE);
    }));

  it('the engine closes', async () => {
    await using proxy = await startFaultyProxy(database.url);
    const engine = createAsyncEngine(proxy.url);
    await engine.execute(text('SELECT 1'));
    proxy.stall();
    expect(await timeOf(engine.aclose())).toBeLessThan(2_500);
  });

  it('opening a connection ends within connectTimeout', async () => {
    await using proxy = await startFaultyProxy(database.url);
    const engine = createAsyncEngine(proxy.url, { connectTimeout: 200 });
    proxy.stall();
    const work = engine.execute(text('SELECT 1'));
    await expect(work).rejects.toMatchObject({ code: 'CONNECT' });
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
  });
});
