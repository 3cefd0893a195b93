import { NullPool, QueuePool, StaticPool, type PoolClass, type PoolOptions } from 'nest-async-engine/engine';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { eventually } from '../../support/process/barrier.js';
import { FakeDriver, settle } from '../../support/doubles/fake-driver.js';
import { collectGarbage } from '../../support/process/garbage.js';
import { MemoryLogger } from '../../support/items.js';

afterEach(() => {
  vi.useRealTimers();
});

function setUp(options: PoolOptions = {}, Class: PoolClass = QueuePool) {
  const driver = new FakeDriver();
  const logger = new MemoryLogger();
  const pool = new Class(driver, {
    logger,
    ...(Class === QueuePool && { poolSize: 1, maxOverflow: 0 }),
    ...options,
  });
  return { driver, logger, pool };
}

/** In a function of its own, so that no variable holds the loan. */
async function takeAndDrop(pool: { connect(): Promise<unknown> }): Promise<void> {
  await pool.connect();
}

describe('a connection that nobody holds any more', () => {
  it.each([QueuePool, NullPool])(
    'is ended by the %o and reported with the stack of its checkout',
    async (Class) => {
      const { driver, logger, pool } = setUp({ poolLeakThreshold: 0 }, Class);
      await takeAndDrop(pool);
      await eventually(async () => {
        await collectGarbage();
        expect(logger.warnings).toHaveLength(1);
      });
      expect(logger.warnings[0]).toMatch(
        /process 1\) was never returned[\s\S]*at takeAndDrop \(.*leak-detector\.spec\.ts/,
      );
      expect(driver.sessions[0]?.log).toEqual(['(terminate)']);
      expect(pool.checkedOut()).toBe(0);
      await pool.dispose();
    },
  );

  it('leaves its place to the one who waits', async () => {
    const { pool } = setUp({ poolLeakThreshold: 0 });
    await takeAndDrop(pool);
    const next = pool.connect();
    await eventually(async () => {
      await collectGarbage();
      expect(pool.waiting()).toBe(0);
    });
    await (await next).close();
    await pool.dispose();
  });

  it('in a StaticPool ends only its own loan of the shared session', async () => {
    const { driver, logger, pool } = setUp({ poolLeakThreshold: 0 }, StaticPool);
    const other = await pool.connect();
    await takeAndDrop(pool);
    await eventually(async () => {
      await collectGarbage();
      expect(logger.warnings).toHaveLength(1);
    });
    expect([other.isValid, driver.live]).toEqual([true, 1]);
    await other.close();
    await pool.dispose();
  });

  it('is not looked for without the option', async () => {
    const { logger, pool } = setUp();
    await takeAndDrop(pool);
    await collectGarbage();
    expect([logger.warnings, pool.checkedOut()]).toEqual([[], 1]);
    await pool.dispose();
  });

  it('AE-18 is no leak when it was returned', async () => {
    const { logger, pool } = setUp({ poolLeakThreshold: 0 });
    await (async () => (await pool.connect()).close())();
    await collectGarbage();
    expect([logger.warnings, pool.checkedIn()]).toEqual([[], 1]);
    await pool.dispose();
  });
});

describe('a connection that is held for too long', () => {
  it('is reported once, with the stack of its checkout, and works on', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const { logger, pool } = setUp({ poolLeakThreshold: 1_000 });
    const loan = await pool.connect();
    vi.advanceTimersByTime(999);
    const before = logger.warnings.length;
    vi.advanceTimersByTime(5_000);
    expect([before, logger.warnings.length, loan.isValid]).toEqual([0, 1, true]);
    expect(logger.warnings[0]).toMatch(/more than 1000 ms and is still out[\s\S]*leak-detector\.spec\.ts/);
    await loan.close();
    await pool.dispose();
  });

  it('counts from its own checkout', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const { logger, pool } = setUp({ poolLeakThreshold: 1_000, poolSize: 2 });
    const first = await pool.connect();
    vi.advanceTimersByTime(600);
    const second = await pool.connect();
    await first.close();
    vi.advanceTimersByTime(999);
    const early = logger.warnings.length;
    vi.advanceTimersByTime(1);
    expect([early, logger.warnings.length]).toEqual([0, 1]);
    await second.close();
    await pool.dispose();
  });

  it('names who waited for it, not who returned it to him', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const { logger, pool } = setUp({ poolLeakThreshold: 1_000 });
    const first = await pool.connect();
    const waiting = (function theOneWhoWaited() {
      return pool.connect();
    })();
    await (async function theOneWhoReturned() {
      await first.close();
    })();
    const second = await waiting;
    vi.advanceTimersByTime(1_000);
    expect(logger.warnings[0]).toMatch(/theOneWhoWaited/);
    await second.close();
    await pool.dispose();
  });

  it('leaves no timer behind when it comes back', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const { pool } = setUp({ poolLeakThreshold: 1_000 });
    const loan = await pool.connect();
    expect(vi.getTimerCount()).toBe(1);
    await loan.close();
    expect(vi.getTimerCount()).toBe(0);
    await pool.dispose();
  });

  it('is cancelled by drain() like any other', async () => {
    const { driver, pool } = setUp({ poolLeakThreshold: 60_000 });
    const loan = await pool.connect();
    expect(await pool.drain(1)).toBe(1);
    await settle();
    expect([loan.isValid, driver.live, pool.checkedOut()]).toEqual([false, 0, 0]);
    await pool.dispose();
  });
});
