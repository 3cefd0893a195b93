import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Driver, DriverConnection } from '../../lib/engine/driver/driver.js';
import { PgDriver } from '../../lib/engine/driver/pg/connect/pg-driver.js';
import { ResourceClosedError } from '../../lib/engine/errors/errors.js';
import { AssertionPool } from '../../lib/engine/pool/kinds/assertion-pool.js';
import { NullPool } from '../../lib/engine/pool/kinds/null-pool.js';
import type { Pool } from '../../lib/engine/pool/pool.js';
import { QueuePool } from '../../lib/engine/pool/kinds/queue-pool.js';
import { StaticPool } from '../../lib/engine/pool/kinds/static-pool.js';
import { resolveTypes } from '../../lib/engine/driver/types/types.js';
import { makeUrl } from '../../lib/engine/driver/url/url.js';
import { eventually } from '../support/process/barrier.js';
import { FakeDriver } from '../support/doubles/fake-driver.js';
import { createDatabase, type TestDatabase } from '../support/server/postgres.js';

// What pool.spec.ts proves with a fake that it can look into, as far as a real server shows it, on both. Not over pglite: it
// has one session for all, whose pool is tested in test/integration/driver/pglite/pglite.spec.ts.
const POOLS = [QueuePool, NullPool, StaticPool, AssertionPool];
const DRIVERS = ['fake', 'pg'] as const;

let database: TestDatabase;
let pool: Pool;

beforeAll(async () => {
  database = await createDatabase('pool_drivers');
});
afterAll(() => database.drop());

function driverOf(name: (typeof DRIVERS)[number]): Driver {
  if (name === 'fake') return new FakeDriver();
  return new PgDriver(makeUrl(database.url), {
    connectTimeout: 5_000,
    preparedStatementCacheSize: 100,
    types: resolveTypes(),
    settings: {},
  });
}

const cases = DRIVERS.flatMap((driver) => POOLS.map((poolClass) => ({ driver, poolClass })));

describe.each(cases)('$poolClass.name over the driver $driver', ({ driver, poolClass }) => {
  const keeps = poolClass !== NullPool;
  const begin = (session: DriverConnection) => session.execute([], { text: 'BEGIN' });

  beforeEach(() => {
    pool = new poolClass(driverOf(driver));
  });
  afterEach(async () => {
    expect([pool.checkedOut(), pool.waiting()]).toEqual([0, 0]);
    await pool.dispose();
    await eventually(async () => expect(await database.sessions()).toEqual([]));
  });

  it('PO-40 PO-50 lends the same session again, or a new one each time', async () => {
    const first = await pool.connect();
    const { processId } = first.session;
    await first.close();
    const second = await pool.connect();
    expect(second.session.processId === processId).toBe(keeps);
    await second.close();
  });

  it('PO-06 lends no session in which a transaction was left open', async () => {
    const first = await pool.connect();
    await begin(first.session);
    expect(first.session.status).toBe('open');
    await first.close();
    const second = await pool.connect();
    expect(second.session.status).toBe('idle');
    await second.close();
  });

  it('PO-42 lends another session after an invalidation, and the former is gone', async () => {
    const loan = await pool.connect();
    const { session } = loan;
    loan.invalidate();
    expect(session.isOpen).toBe(false);
    const next = await pool.connect();
    expect(next.session.processId).not.toBe(session.processId);
    await Promise.all([loan.close(), next.close()]);
  });

  it('PO-36 replaces a softly invalidated session after it was returned', async () => {
    const loan = await pool.connect();
    const { session } = loan;
    loan.invalidate(undefined, true);
    await session.execute([], { text: 'SELECT 1' });
    await loan.close();
    const next = await pool.connect();
    expect(next.session.processId).not.toBe(session.processId);
    await next.close();
  });

  it('PO-41 closes a detached session for good', async () => {
    const loan = await pool.connect();
    const { session } = loan;
    loan.detach();
    expect(pool.checkedOut()).toBe(0);
    await loan.close();
    expect(session.isOpen).toBe(false);
  });

  it('RC-32 takes back a session that has ended, and lends another', async () => {
    const loan = await pool.connect();
    const { session } = loan;
    session.terminate();
    await loan.close();
    const next = await pool.connect();
    expect([next.isValid, next.session === session]).toEqual([true, false]);
    await next.close();
  });

  it('closes what comes back after dispose(), and lends no more', async () => {
    const loan = await pool.connect();
    const { session } = loan;
    await pool.dispose();
    expect(session.isOpen).toBe(true);
    await loan.close();
    await eventually(() => expect(session.isOpen).toBe(false));
    await expect(pool.connect()).rejects.toBeInstanceOf(ResourceClosedError);
  });
});
