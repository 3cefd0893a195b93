import {
  createAsyncEngine,
  NullPool,
  QueuePool,
  StaticPool,
  text,
  type AsyncEngine,
} from 'nest-async-engine/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { outcomeOf } from '../../support/items.js';
import { eventually } from '../../support/process/barrier.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('sent_away');
});
afterAll(() => database.drop());

const ONE = text('SELECT 1');

describe.each([QueuePool, NullPool, StaticPool])('a caller for whom %o opens a connection', (poolClass) => {
  it.each<[string, (engine: AsyncEngine, abort: AbortController) => void]>([
    ['has disposed of the pool', (engine) => void engine.dispose()],
    ['has closed the engine', (engine) => void engine.aclose()],
    ['has aborted its signal', (_engine, abort) => abort.abort()],
  ])('keeps none where a listener of checkout %s', async (_name, act) => {
    const engine = createAsyncEngine(database.url, { poolClass });
    const { pool } = engine;
    const abort = new AbortController();
    engine.once('checkout', () => act(engine, abort));
    await outcomeOf(engine.scalar(ONE, undefined, { signal: abort.signal }));
    await eventually(() => expect([pool.checkedOut(), engine.pool.checkedOut()]).toEqual([0, 0]));
    await engine.aclose();
    await eventually(async () => expect(await database.sessions()).toEqual([]));
  });
});
