import { createAsyncEngine, PoolDeadlockError, text } from 'nest-async-engine/engine';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Latch } from '../../support/process/barrier.js';
import { failureOf } from '../../support/items.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('waiting');
});
afterAll(() => database.drop());

describe('an attempt to connect that hangs', () => {
  it('and whose caller has left holds up no second caller', async () => {
    const hung = new Latch();
    const asked = new Latch();
    let attempts = 0;
    const engine = createAsyncEngine(database.url, {
      poolSize: 2,
      maxOverflow: 0,
      poolTimeout: 5_000,
      asyncCreator: async () => {
        attempts += 1;
        if (attempts === 1) {
          asked.open();
          await hung.opened;
        }
        const client = new Client(database.url);
        await client.connect();
        return client;
      },
    });
    const leaving = new AbortController();
    const first = failureOf(engine.execute(text('SELECT 1'), {}, { signal: leaving.signal }));
    await asked.opened;
    leaving.abort();
    expect(await first).toBeInstanceOf(Error);
    expect(await engine.scalar(text('SELECT 2'))).toBe(2);
    hung.open();
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
  });
});

describe('a transaction of its own that its holder does not wait for', () => {
  it('is no deadlock: it runs when the holder has given back the only connection', async () => {
    const engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0, poolTimeout: 5_000 });
    let inner: Promise<unknown> = Promise.resolve();
    await engine.transaction(async () => {
      await engine.execute(text('SELECT 1'));
      inner = engine.transaction(() => engine.scalar(text('SELECT 3')), { propagation: 'requires-new' });
      inner.catch(() => undefined);
    });
    expect(await inner).toBe(3);
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
  });

  it('is one where the holder waits for it, at once', async () => {
    const engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0, poolTimeout: 60_000 });
    const failure = await failureOf(
      engine.transaction(async () => {
        await engine.execute(text('SELECT 1'));
        await engine.transaction(() => engine.scalar(text('SELECT 3')), { propagation: 'requires-new' });
      }),
    );
    expect(failure).toBeInstanceOf(PoolDeadlockError);
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
  });
});
