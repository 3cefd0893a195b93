import {
  AssertionPool,
  createAsyncEngine,
  NullPool,
  OperationalError,
  PoolTimeoutError,
  QueuePool,
  StaticPool,
  text,
  type PooledConnection,
  type PoolOptions,
} from 'nest-async-engine/engine';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { eventually } from '../support/process/barrier.js';
import {
  FakeDriver,
  sessionOf,
  settle,
  unreachable,
  type FakeSession,
} from '../support/doubles/fake-driver.js';
import { collectGarbage } from '../support/process/garbage.js';
import { createDatabase } from '../support/server/postgres.js';
import { MemoryLogger } from '../support/items.js';

/* The rows of PO and RC that need no server and are not in test/unit/queue-pool or test/contract/pool under their ID. */

function setUp(options?: PoolOptions): { driver: FakeDriver; pool: QueuePool } {
  const driver = new FakeDriver();
  return { driver, pool: new QueuePool(driver, { poolSize: 1, maxOverflow: 0, ...options }) };
}

afterEach(() => {
  vi.useRealTimers();
});

describe('a pool', () => {
  it('PO-04: info outlives a soft invalidation until the replacement, and is new afterwards', async () => {
    const { pool } = setUp();
    const first = await pool.connect();
    first.info.set('mark', 1);
    first.invalidate(undefined, true);
    expect(first.info.get('mark')).toBe(1);
    await first.close();
    const second = await pool.connect();
    expect(second.info.get('mark')).toBeUndefined();
    await second.close();
    await pool.dispose();
  });

  // ≠: upstream takes it away from the detached connection; here it belongs to the session for as long as that lives.
  it('PO-04: a detached connection keeps its info, and the next one has its own', async () => {
    const { pool } = setUp();
    const detached = await pool.connect();
    detached.info.set('mark', 1);
    detached.detach();
    const next = await pool.connect();
    expect([detached.info.get('mark'), next.info.get('mark')]).toEqual([1, undefined]);
    await Promise.all([detached.close(), next.close()]);
    await pool.dispose();
  });

  it.each([QueuePool, StaticPool, AssertionPool, NullPool])(
    'PO-06: an open transaction is rolled back or ended with its session before anybody else has the connection: %o',
    async (Class) => {
      const driver = new FakeDriver();
      const pool = new Class(driver);
      const loan = await pool.connect();
      sessionOf(loan).status = 'open';
      await loan.close();
      const [session] = driver.sessions;
      expect(session?.log).toEqual(Class === NullPool ? ['(close)'] : ['ROLLBACK']);
      await pool.dispose();
      expect(driver.live).toBe(0);
    },
  );

  it('PO-25: whoever loses the race waits for the whole timeout', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const { pool } = setUp({ poolSize: 2, maxOverflow: 1, poolTimeout: 500 });
    const workers = Array.from({ length: 8 }, () => pool.connect());
    await settle();
    const losses: number[] = [];
    for (const worker of workers.slice(3)) {
      worker.catch((error: unknown) => {
        expect(error).toBeInstanceOf(PoolTimeoutError);
        losses.push(performance.now());
      });
    }
    const start = performance.now();
    await vi.advanceTimersByTimeAsync(499);
    expect(losses).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(losses).toEqual(Array.from({ length: 5 }, () => start + 500));
    for (const winner of await Promise.all(workers.slice(0, 3))) await winner.close();
    await pool.dispose();
  });

  it('PO-28: those who wait are served after the held connection was invalidated', async () => {
    const { driver, pool } = setUp();
    const held = await pool.connect();
    const waiting = Array.from({ length: 5 }, () => pool.connect());
    held.invalidate();
    for (const next of waiting) await (await next).close();
    expect([driver.attempts, pool.checkedIn()]).toEqual([2, 1]);
    await pool.dispose();
  });

  it('PO-40: a connection that comes back is lent again, one that was invalidated is not', async () => {
    const { pool } = setUp();
    const first = await pool.connect();
    const { driverConnection } = first;
    await first.close();
    const second = await pool.connect();
    const isSame = second.driverConnection === driverConnection;
    second.invalidate();
    const third = await pool.connect();
    expect([isSame, third.driverConnection === driverConnection]).toEqual([true, false]);
    await third.close();
    await pool.dispose();
  });

  it('PO-50: a NullPool opens a session for each checkout', async () => {
    const driver = new FakeDriver();
    const pool = new NullPool(driver);
    for (let round = 1; round <= 3; round += 1) await (await pool.connect()).close();
    expect([driver.attempts, driver.live]).toEqual([3, 0]);
    await pool.dispose();
  });
});

describe('a server that comes and goes', () => {
  it('RC-03: with poolPrePing an idle connection of before the restart is replaced in silence', async () => {
    const { driver, pool } = setUp({ poolPrePing: true });
    const before = await pool.connect();
    await before.close();
    driver.sessions[0]?.lose();
    const after = await pool.connect();
    expect([sessionOf(after).processId, sessionOf(after).isOpen]).toEqual([2, true]);
    await after.close();
    await pool.dispose();
  });

  it('RC-12: nothing is sent for a connection that was invalidated', async () => {
    const { driver, pool } = setUp();
    const loan = await pool.connect();
    sessionOf(loan).status = 'open';
    loan.invalidate();
    await loan.close();
    expect(driver.sessions[0]?.log).toEqual(['(terminate)']);
    await pool.dispose();
  });

  it.each<[string, PoolOptions, (loan: PooledConnection) => void]>([
    ['invalidated', {}, (loan) => loan.invalidate()],
    ['too old', { poolRecycle: 0 }, () => undefined],
    ['dead at the ping', { poolPrePing: true }, (loan) => sessionOf(loan).failures.set('', unreachable())],
  ])('PO-37 RC-35: a replacement that fails loses no place: %s', async (_, options, spoil) => {
    const { driver, pool } = setUp({ poolSize: 2, ...options });
    const first = await pool.connect();
    spoil(first);
    await first.close();
    driver.failure = unreachable();
    await expect(pool.connect()).rejects.toBe(driver.failure);
    expect([pool.checkedOut(), pool.waiting()]).toEqual([0, 0]);
    driver.failure = undefined;
    const pair = await Promise.all([pool.connect(), pool.connect()]);
    expect([pool.checkedOut(), pool.overflow()]).toEqual([2, 0]);
    for (const loan of pair) await loan.close();
    await pool.dispose();
  });

  it('RC-19: opening is tried anew by each checkout while it fails, and nothing is pooled meanwhile', async () => {
    const { driver, pool } = setUp();
    driver.failure = unreachable();
    for (let round = 1; round <= 3; round += 1) await expect(pool.connect()).rejects.toBe(driver.failure);
    expect([driver.attempts, driver.live, pool.checkedIn()]).toEqual([3, 0, 0]);
    driver.failure = undefined;
    await (await pool.connect()).close();
    await (await pool.connect()).close();
    expect([driver.attempts, pool.checkedIn()]).toEqual([4, 1]);
    await pool.dispose();
  });
});

describe('a server that drops each session as soon as it is open', () => {
  it.each([QueuePool, StaticPool, NullPool])(
    'is an error of the checkout and not tried for ever: %o',
    async (Class) => {
      const fake = new FakeDriver();
      const connect = async (): Promise<FakeSession> => {
        const session = await fake.connect();
        session.lose();
        return session;
      };
      const pool = new Class({ facts: fake.facts, connect });
      await expect(pool.connect({ timeout: 1_000 })).rejects.toBeInstanceOf(OperationalError);
      expect([fake.attempts, pool.checkedOut()]).toEqual([1, 0]);
      await pool.dispose();
    },
  );
});

describe('behaviour 2.11', () => {
  it('an AsyncConnection that was forgotten is reported with the place that took it, and its session ends', async () => {
    const database = await createDatabase('leak');
    const logger = new MemoryLogger();
    const engine = createAsyncEngine(database.url, {
      poolLeakThreshold: 0,
      poolSize: 1,
      maxOverflow: 0,
      logger,
    });
    await (async function forgetful() {
      const connection = await engine.connect();
      await connection.execute(text('SELECT 1'));
    })();
    await eventually(async () => {
      await collectGarbage();
      expect(logger.warnings).toHaveLength(1);
    });
    expect(logger.warnings[0]).toMatch(/at (async )?forgetful \(.*pool\.spec\.ts/);
    await eventually(async () => expect(await database.sessions()).toEqual([]));
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
    await database.drop();
  });
});
