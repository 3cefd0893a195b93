import { createAsyncEngine, PoolDeadlockError, text } from 'nest-async-engine/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failureOf } from '../../support/items.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('waiting');
});
afterAll(() => database.drop());

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
