import { setTimeout as wait } from 'node:timers/promises';
import { createAsyncEngine, text } from 'nest-async-engine/engine';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startFaultyProxy, type FaultyProxy } from '../../support/server/faulty-proxy.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';

let database: TestDatabase;
let proxy: FaultyProxy;
beforeAll(async () => {
  database = await createDatabase('pre_ping');
  proxy = await startFaultyProxy(database.url);
});
afterAll(async () => {
  await proxy.close();
  await database.drop();
});

it('a ping is left out on a session that answered in the last 500 ms, and sent behind a longer pause', async () => {
  await using engine = createAsyncEngine(proxy.url, { poolPrePing: true, poolSize: 1, maxOverflow: 0 });
  const roundTrips = async (): Promise<number> => {
    proxy.reset();
    await engine.execute(text("SELECT pg_sleep(0), 'x'"));
    return proxy.roundTrips;
  };
  await roundTrips();
  expect(await roundTrips()).toBe(1);
  await wait(600);
  expect(await roundTrips()).toBe(2);
  expect(engine.pool.checkedOut()).toBe(0);
});
