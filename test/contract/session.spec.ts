import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Driver, DriverConnection } from '../../lib/engine/driver/driver.js';
import { PgDriver } from '../../lib/engine/driver/pg/connect/pg-driver.js';
import { EngineError } from '../../lib/engine/errors/errors.js';
import { resolveTypes } from '../../lib/engine/driver/types/types.js';
import { makeUrl } from '../../lib/engine/driver/url/url.js';
import { FakeDriver, FakeSession } from '../support/doubles/fake-driver.js';
import { createDatabase, type TestDatabase } from '../support/server/postgres.js';

// What the fake driver of the pools' tests must have in common with a real one, so that they prove anything. It has no SQL, no
// rows, portals or cancellation: for those, driver.spec.ts compares the real ones.
const DRIVERS = ['fake', 'pg'] as const;

let database: TestDatabase;
let connection: DriverConnection;

beforeAll(async () => {
  database = await createDatabase('session');
});
afterAll(() => database.drop());

function driverOf(name: (typeof DRIVERS)[number]): Driver {
  if (name === 'fake') return new FakeDriver();
  const options = {
    connectTimeout: 5_000,
    preparedStatementCacheSize: 100,
    types: resolveTypes(),
    settings: {},
  };
  return new PgDriver(makeUrl(database.url), options);
}

describe.each(DRIVERS)('a session of the driver %s', (name) => {
  const run = (text: string) => connection.execute([], { text });

  beforeEach(async () => {
    connection = await driverOf(name).connect();
  });
  afterEach(() => connection.close());

  it('begins open, idle and quiet', () => {
    expect([connection.isOpen, connection.status, connection.isQuiet]).toEqual([true, 'idle', true]);
  });

  it('is not quiet while something runs', async () => {
    const running = run('SELECT 1');
    const during = connection.isQuiet;
    await running;
    expect([during, connection.isQuiet]).toEqual([false, true]);
  });

  it.each(['COMMIT', 'ROLLBACK'])('follows the transaction from BEGIN to %s', async (end) => {
    const seen = [];
    for (const text of ['BEGIN', end]) {
      await run(text);
      seen.push(connection.status);
    }
    expect(seen).toEqual(['open', 'idle']);
  });

  it('acknowledges the control in front of a command', async () => {
    const acknowledged: string[] = [];
    const control = { text: 'BEGIN', acknowledged: () => void acknowledged.push('BEGIN') };
    await connection.execute([control], { text: 'SELECT 1' });
    expect([acknowledged, connection.status]).toEqual([['BEGIN'], 'open']);
  });

  it('answers an empty text, which is the ping of the pools', async () => {
    expect((await run('')).rows).toEqual([]);
  });

  it('never gives a name twice', () => {
    expect(connection.uniqueName('x')).not.toBe(connection.uniqueName('x'));
  });

  it.each(['close', 'terminate'] as const)(
    'has ended after %s(), refuses commands, and may end twice',
    async (end) => {
      await connection[end]();
      expect(connection.isOpen).toBe(false);
      await expect(run('SELECT 1')).rejects.toBeInstanceOf(EngineError);
      await connection.close();
    },
  );

  it('fails what runs when it is terminated', async () => {
    if (connection instanceof FakeSession) connection.commands.shut();
    const running = run('SELECT pg_sleep(20)');
    connection.terminate();
    await expect(running).rejects.toMatchObject({ connectionInvalidated: true });
  });
});
