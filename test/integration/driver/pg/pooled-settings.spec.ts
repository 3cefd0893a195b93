import { createAsyncEngine, text, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startFaultyProxy, type FaultyProxy } from '../../../support/server/faulty-proxy.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';

let database: TestDatabase;
let proxy: FaultyProxy;
let engine: AsyncEngine;

beforeAll(async () => {
  database = await createDatabase('pooled_settings');
  proxy = await startFaultyProxy(database.url);
});
beforeEach(() => {
  engine = createAsyncEngine(proxy.url, { poolSize: 1, maxOverflow: 0, pgbouncer: true });
});
afterEach(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.aclose();
});
afterAll(async () => {
  await proxy.close();
  await database.drop();
});

const withTenant = (): AsyncEngine => engine.executionOptions({ settings: { 'app.tenant': 'a' } });
const SHOW = text("SELECT current_setting('app.tenant', TRUE)");

describe('with pgbouncer: true', () => {
  it('settings of one statement travel with it between BEGIN and COMMIT, in one flight', async () => {
    await engine.execute(text('SELECT 1'));
    proxy.reset();
    expect(await withTenant().scalar(SHOW)).toBe('a');
    expect(proxy.roundTrips).toBe(1);
    const { statements } = proxy;
    expect(statements.at(0)).toBe('BEGIN');
    expect(statements.at(-1)).toBe('COMMIT');
    expect(statements.at(-2)).toContain('current_setting');
    expect(statements).toHaveLength(4);
  });

  it('a statement without settings has no BEGIN', async () => {
    await engine.execute(text('SELECT 1'));
    proxy.reset();
    expect([null, '']).toContain(await engine.scalar(SHOW));
    expect(proxy.statements).toHaveLength(1);
  });

  it('a statement with settings that fails is rolled back, and its settings are gone', async () => {
    await expect(withTenant().execute(text('SELECT 1 / 0'))).rejects.toThrow('division by zero');
    expect([null, '']).toContain(await engine.scalar(SHOW));
  });
});
