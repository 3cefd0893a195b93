import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ArgumentError, PoolOverloadError } from '../../../lib/engine/errors/errors.js';
import { resolvePoolOptions } from '../../../lib/engine/pool/pool-options.js';
import type { PooledConnection } from '../../../lib/engine/pool/pooled-connection.js';
import { QueuePool } from '../../../lib/engine/pool/kinds/queue-pool.js';
import { EchoLog } from '../../../lib/engine/util/logger.js';
import { FakeDriver } from '../../support/doubles/fake-driver.js';
import { MemoryLogger } from '../../support/items.js';

const TARGET = 50;
const INTERVAL = 1_000;

let pool: QueuePool;
let logger: MemoryLogger;
/** What came of each caller, by its number. */
let served: number[];
let refused: number[];
let loans: PooledConnection[];

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  logger = new MemoryLogger();
  [served, refused, loans] = [[], [], []];
  pool = new QueuePool(new FakeDriver(), {
    poolSize: 1,
    maxOverflow: 0,
    poolQueueTarget: TARGET,
    poolQueueInterval: INTERVAL,
  });
  pool.observer.logTo((tally) => new EchoLog(logger, 'QueuePool', false, tally));
  loans.push(await pool.connect());
});
afterEach(async () => {
  for (const loan of loans) await loan.close();
  await vi.advanceTimersByTimeAsync(0);
  for (const loan of loans) await loan.close();
  expect(pool.waiting()).toBe(0);
  await pool.dispose();
  vi.useRealTimers();
});

function call(number: number): void {
  pool.connect().then(
    (loan) => {
      served.push(number);
      loans.push(loan);
    },
    (error: unknown) => {
      expect(error).toBeInstanceOf(PoolOverloadError);
      refused.push(number);
    },
  );
}

/** The connection comes back. */
async function giveBack(): Promise<void> {
  await loans.shift()?.close();
  await vi.advanceTimersByTimeAsync(0);
}

/** A caller each 100 ms, and each is served after `wait` ms by the one connection, for a whole interval. */
async function interval(wait: number): Promise<void> {
  for (let number = 1; number <= INTERVAL / 100 + 1; number += 1) {
    call(number);
    await vi.advanceTimersByTimeAsync(wait);
    await giveBack();
    await vi.advanceTimersByTimeAsync(100 - wait);
  }
}

describe('overload control', () => {
  it('leaves waits below the target alone, and a burst in an interval that has short ones', async () => {
    await interval(TARGET - 10);
    for (const number of [101, 102, 103]) call(number);
    await vi.advanceTimersByTimeAsync(INTERVAL / 2);
    expect(refused).toEqual([]);
    expect(logger.warnings).toEqual([]);
    for (let left = 3; left > 0; left -= 1) await giveBack();
    expect(served.slice(-3)).toEqual([101, 102, 103]);
  });

  it('refuses those that have waited for twice the target once every wait of an interval was longer than it', async () => {
    await interval(TARGET + 10);
    expect(refused).toEqual([]);
    await interval(TARGET + 10);
    expect(logger.warnings).toHaveLength(1);
    expect(logger.warnings[0]).toContain('poolQueueTarget, which is 50 ms');
    call(101);
    await vi.advanceTimersByTimeAsync(2 * TARGET);
    expect(refused).toEqual([]);
    await vi.advanceTimersByTimeAsync(5);
    expect(refused).toEqual([101]);
  });

  it('serves the newest first while it is overloaded', async () => {
    await interval(TARGET + 10);
    await interval(TARGET + 10);
    for (const number of [101, 102, 103]) {
      call(number);
      await vi.advanceTimersByTimeAsync(20);
    }
    await giveBack();
    expect(served.at(-1)).toBe(103);
    await giveBack();
    expect(served.at(-1)).toBe(102);
  });

  it('is over with the first interval that has a short wait, and the oldest is first again', async () => {
    await interval(TARGET + 10);
    await interval(TARGET + 10);
    await interval(1);
    await interval(1);
    for (const number of [101, 102]) call(number);
    await vi.advanceTimersByTimeAsync(3 * TARGET);
    expect(refused).toEqual([]);
    await giveBack();
    expect(served.at(-1)).toBe(101);
    await giveBack();
  });

  it('goes on while callers are refused, although the line is empty then', async () => {
    await interval(TARGET + 10);
    await interval(TARGET + 10);
    for (const number of [101, 102, 103]) call(number);
    await vi.advanceTimersByTimeAsync(2 * TARGET + 10);
    expect(refused).toEqual([101, 102, 103]);
    await giveBack();
    call(104);
    await vi.advanceTimersByTimeAsync(INTERVAL);
    await giveBack();
    for (const number of [105, 201, 202]) call(number);
    await vi.advanceTimersByTimeAsync(0);
    await giveBack();
    expect(served.at(-1)).toBe(202);
    await giveBack();
  });

  it('sees an overload in which no connection comes back at all', async () => {
    call(101);
    await vi.advanceTimersByTimeAsync(2 * INTERVAL + 2 * TARGET + 10);
    expect(refused).toEqual([101]);
  });

  it('is off without its options, and either turns it on', () => {
    expect(resolvePoolOptions({}).poolQueueTarget).toBeUndefined();
    expect(resolvePoolOptions({ poolQueueInterval: 500 })).toMatchObject({ poolQueueTarget: 50 });
    expect(resolvePoolOptions({ poolQueueTarget: 20 })).toMatchObject({ poolQueueTarget: 20 });
    expect(() => resolvePoolOptions({ poolQueueTarget: 0 })).toThrow(ArgumentError);
  });
});

describe('an open loop of callers, who do not wait for each other', () => {
  const SESSIONS = 10;
  /** Milliseconds that a caller keeps its connection. */
  const SERVICE = 20;
  const CAPACITY = SESSIONS / SERVICE;
  const WARM_UP = 3 * INTERVAL;
  const DURATION = 6 * INTERVAL;

  /** Runs `load` times of what the pool can serve; what came of it behind the start. */
  async function run(load: number): Promise<{ goodput: number; p99: number }> {
    const busy = new QueuePool(new FakeDriver(), {
      poolSize: SESSIONS,
      maxOverflow: 0,
      poolQueueTarget: TARGET,
      poolQueueInterval: INTERVAL,
    });
    busy.observer.logTo((tally) => new EchoLog(logger, 'QueuePool', false, tally));
    const times: number[] = [];
    const ask = async (): Promise<void> => {
      const start = performance.now();
      const loan = await busy.connect();
      await new Promise((resolve) => setTimeout(resolve, SERVICE));
      await loan.close();
      if (start - begun > WARM_UP) times.push(performance.now() - start);
    };
    const begun = performance.now();
    const asked: Promise<unknown>[] = [];
    for (let now = 0, due = 0; now < DURATION; now += 1) {
      for (; due <= now; due += 1 / (load * CAPACITY)) asked.push(ask().catch(() => undefined));
      await vi.advanceTimersByTimeAsync(1);
    }
    await vi.advanceTimersByTimeAsync(4 * TARGET);
    await Promise.all(asked);
    await busy.dispose();
    times.sort((one, other) => one - other);
    const p99 = times[Math.floor(times.length * 0.99)] ?? Infinity;
    return { goodput: times.length / ((DURATION - WARM_UP) * CAPACITY), p99 };
  }

  it.each([1.2, 2])('gets the full work of the pool at %f times of it, and no answer late', async (load) => {
    const { goodput, p99 } = await run(load);
    expect(goodput).toBeGreaterThan(0.9);
    expect(p99).toBeLessThanOrEqual(2 * TARGET);
  });
});
