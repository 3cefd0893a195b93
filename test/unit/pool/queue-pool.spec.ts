import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  ArgumentError,
  PoolDeadlockError,
  PoolTimeoutError,
  ResourceClosedError,
  IllegalStateError,
} from '../../../lib/engine/errors/errors.js';
import { AssertionPool } from '../../../lib/engine/pool/kinds/assertion-pool.js';
import { resolvePoolOptions, type PoolOptions } from '../../../lib/engine/pool/pool-options.js';
import type { PooledConnection } from '../../../lib/engine/pool/pooled-connection.js';
import { QueuePool } from '../../../lib/engine/pool/kinds/queue-pool.js';
import { StaticPool } from '../../../lib/engine/pool/kinds/static-pool.js';
import { FakeDriver, sessionOf, settle, unreachable } from '../../support/doubles/fake-driver.js';

const idOf = (loan: PooledConnection): number | undefined => loan.session.processId;
const figures = (pool: QueuePool): number[] => [
  pool.size(),
  pool.checkedIn(),
  pool.overflow(),
  pool.checkedOut(),
];

function setUp(options?: PoolOptions): { driver: FakeDriver; pool: QueuePool } {
  const driver = new FakeDriver();
  return { driver, pool: new QueuePool(driver, options) };
}

function connectMany(pool: QueuePool, count: number): Promise<PooledConnection[]> {
  return Promise.all(Array.from({ length: count }, () => pool.connect()));
}

async function closeAll(loans: readonly PooledConnection[]): Promise<void> {
  for (const loan of loans) await loan.close();
}

afterEach(() => {
  vi.useRealTimers();
});

function useFakeClock(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
}

describe('capacity', () => {
  it('PO-21 counts as SQLAlchemy counts', async () => {
    const { pool } = setUp({ poolSize: 3, maxOverflow: -1 });
    const loans: PooledConnection[] = [];
    const seen: number[][] = [];
    for (let count = 1; count <= 6; count += 1) {
      loans.push(await pool.connect());
      seen.push(figures(pool));
    }
    await closeAll(loans.slice(0, 3));
    seen.push(figures(pool));
    await closeAll(loans.slice(3));
    seen.push(figures(pool));
    await connectMany(pool, 2);
    seen.push(figures(pool));
    const growing = [1, 2, 3, 4, 5, 6].map((count) => [3, 0, count - 3, count]);
    expect(seen).toEqual([...growing, [3, 3, 3, 3], [3, 3, 0, 0], [3, 1, 0, 2]]);
  });

  it('PO-33 closes surplus connections once and pooled ones never', async () => {
    const { driver, pool } = setUp({ poolSize: 2, maxOverflow: 2 });
    for (let round = 0; round < 5; round += 1) await closeAll(await connectMany(pool, 4));
    expect(driver.sessions.flatMap((session) => session.log)).toEqual(
      Array.from({ length: 10 }, () => '(close)'),
    );
    expect(driver.sessions.filter((session) => session.isOpen)).toHaveLength(2);
  });

  it.each([0, 5])('PO-31 never has more than poolSize + %i sessions', async (maxOverflow) => {
    const { driver, pool } = setUp({ poolSize: 3, maxOverflow });
    const work = async (): Promise<void> => {
      await using loan = await pool.connect();
      await loan.session.execute([], { text: 'SELECT 1' });
      await settle();
    };
    await Promise.all(Array.from({ length: 40 }, work));
    expect([driver.peak, pool.checkedOut()]).toEqual([3 + maxOverflow, 0]);
  });

  it('does not open a session in the place of one whose goodbye is still under way', async () => {
    const { driver, pool } = setUp({ poolSize: 1, maxOverflow: 1 });
    const loans = await connectMany(pool, 2);
    sessionOf(loans[1]!).goodbye.shut();
    await loans[0]!.close();
    const closing = loans[1]!.close();
    await connectMany(pool, 1);
    const waiting = pool.connect();
    await settle();
    expect([driver.attempts, pool.waiting()]).toEqual([2, 1]);
    driver.sessions[1]!.goodbye.open();
    await closing;
    expect(idOf(await waiting)).toBe(3);
  });

  it.each([42, 0, -1, 1])('PO-32 has no limit with poolSize 0 and maxOverflow %i', async (maxOverflow) => {
    const { pool } = setUp({ poolSize: 0, maxOverflow });
    const loans = await connectMany(pool, 50);
    const during = figures(pool);
    await closeAll(loans);
    expect([during, figures(pool)]).toEqual([
      [0, 0, 0, 50],
      [0, 50, 0, 0],
    ]);
  });

  it('PO-44 lends first what came back first', async () => {
    const { pool } = setUp({ poolSize: 3 });
    await closeAll(await connectMany(pool, 3));
    const seen: (number | undefined)[] = [];
    for (let turn = 0; turn < 4; turn += 1) {
      const loan = await pool.connect();
      seen.push(idOf(loan));
      await loan.close();
    }
    expect(seen).toEqual([1, 2, 3, 1]);
  });

  it('PO-44 lends first what came back last with poolUseLifo', async () => {
    const { pool } = setUp({ poolSize: 3, poolUseLifo: true });
    await closeAll(await connectMany(pool, 3));
    const first = await pool.connect();
    const second = await pool.connect();
    expect([idOf(first), idOf(second)]).toEqual([3, 2]);
  });

  it('PO-27 one slow connect does not keep the others waiting', async () => {
    const { driver, pool } = setUp({ poolSize: 2, maxOverflow: 3 });
    driver.connects.shut();
    const slow = pool.connect();
    driver.connects.open();
    const others = await Promise.all([pool.connect(), pool.connect()]);
    expect(others.every((loan) => loan.isValid)).toBe(true);
    await slow;
  });
});

describe('the fast path', () => {
  it('lends an idle connection without a promise', async () => {
    const { pool } = setUp();
    await (await pool.connect()).close();
    expect(pool.tryConnect()?.session.processId).toBe(1);
  });

  it.each<[string, PoolOptions, (driver: FakeDriver, pool: QueuePool) => void]>([
    ['it needs a ping', { poolPrePing: true }, () => undefined],
    ['its session was lost', {}, (driver) => driver.sessions[0]?.lose()],
    ['everything was invalidated', {}, (_driver, pool) => pool.invalidateAll()],
    ['it is too old', { poolRecycle: 0 }, () => undefined],
    ['the pool was disposed', {}, (_driver, pool) => void pool.dispose()],
  ])('declines when %s', async (_reason, options, happen) => {
    const { driver, pool } = setUp(options);
    await (await pool.connect()).close();
    happen(driver, pool);
    expect(pool.tryConnect()).toBeUndefined();
  });

  it('declines when nothing is idle, and opens nothing', () => {
    const { driver, pool } = setUp();
    expect([pool.tryConnect(), driver.attempts]).toEqual([undefined, 0]);
  });
});

describe('waiting', () => {
  const tight: PoolOptions = { poolSize: 1, maxOverflow: 0 };

  it('serves waiters in the order in which they came', async () => {
    const { pool } = setUp(tight);
    const first = await pool.connect();
    const served: number[] = [];
    const waits = [1, 2, 3, 4].map(async (number) => {
      await using loan = await pool.connect();
      served.push(number);
      expect(loan.isValid).toBe(true);
    });
    await first.close();
    await Promise.all(waits);
    expect(served).toEqual([1, 2, 3, 4]);
  });

  it('gives a returned connection to a waiter whose own connect is still under way', async () => {
    const { driver, pool } = setUp({ poolSize: 2, maxOverflow: 0 });
    const first = await pool.connect();
    driver.connects.shut();
    const waiting = pool.connect();
    await first.close();
    expect(idOf(await waiting)).toBe(1);
    driver.connects.open();
    await settle();
    expect([pool.checkedIn(), pool.tryConnect()?.session.processId]).toEqual([1, 2]);
  });

  it('gives a late connect to the next waiter', async () => {
    const { driver, pool } = setUp({ poolSize: 2, maxOverflow: 0 });
    const first = await pool.connect();
    driver.connects.shut();
    const served = pool.connect();
    const next = pool.connect();
    await first.close();
    await served;
    driver.connects.passOne();
    expect(idOf(await next)).toBe(2);
  });

  it('does not fail a waiter for whom another connect is under way', async () => {
    const { driver, pool } = setUp({ poolSize: 3, maxOverflow: 0 });
    const first = await pool.connect();
    driver.connects.shut();
    const served = pool.connect();
    const next = pool.connect();
    await first.close();
    await served;
    driver.connects.failOne(unreachable());
    await settle();
    driver.connects.passOne();
    expect(idOf(await next)).toBe(3);
  });

  it('PO-37 fails the waiters of a failed connect together, tries again for the next, and loses no capacity', async () => {
    const { driver, pool } = setUp(tight);
    driver.connects.shut();
    const outcomes = Promise.allSettled([pool.connect(), pool.connect(), pool.connect()]);
    driver.connects.failOne(unreachable());
    expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    driver.connects.open();
    await pool.connect();
    expect([driver.attempts, pool.checkedOut(), pool.overflow()]).toEqual([2, 1, 0]);
  });

  it('PO-28 reconnects once for five waiters after an invalidation', async () => {
    const { driver, pool } = setUp(tight);
    const first = await pool.connect();
    const waits = [1, 2, 3, 4, 5].map(async () => (await pool.connect()).close());
    first.invalidate();
    await Promise.all(waits);
    expect([driver.attempts, driver.peak]).toEqual([2, 1]);
  });

  it.each<[string, (loan: PooledConnection) => unknown]>([
    ['detached', (loan) => loan.detach()],
    ['returned after its session was lost', (loan) => (sessionOf(loan).lose(), loan.close())],
    ['returned soft-invalidated', (loan) => (loan.invalidate(undefined, true), loan.close())],
  ])('lets a waiter reconnect when the connection is %s', async (_how, happen) => {
    const { pool } = setUp(tight);
    const first = await pool.connect();
    const waiting = pool.connect();
    await happen(first);
    expect(idOf(await waiting)).toBe(2);
  });

  it('AE-47 PO-24 gives up after poolTimeout and tells the figures', async () => {
    const { pool } = setUp({ ...tight, poolTimeout: 5 });
    await pool.connect();
    const failure: unknown = await pool.connect().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(PoolTimeoutError);
    expect(String(failure)).toMatch(/within 5 ms .*size 1, .*checked out 1, overflow 0/);
    expect(pool.waiting()).toBe(0);
  });

  it('PO-23 waits no shorter than the timeout', async () => {
    useFakeClock();
    const { pool } = setUp({ ...tight, poolTimeout: 2_000 });
    await pool.connect();
    let outcome = 'waiting';
    const waiting = pool.connect().catch(() => (outcome = 'gave up'));
    await vi.advanceTimersByTimeAsync(1_999);
    expect(outcome).toBe('waiting');
    await vi.advanceTimersByTimeAsync(1);
    await waiting;
    expect(outcome).toBe('gave up');
  });

  it('AE-49 fails at once when the pool is full and the timeout 0', async () => {
    const { pool } = setUp({ ...tight, poolTimeout: 0 });
    await pool.connect();
    await expect(pool.connect()).rejects.toBeInstanceOf(PoolTimeoutError);
  });

  it('still opens connections with a timeout of 0', async () => {
    const { pool } = setUp({ poolSize: 1, maxOverflow: 1, poolTimeout: 0 });
    const outcomes = await Promise.allSettled([pool.connect(), pool.connect(), pool.connect()]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
  });

  it('skips a waiter that was aborted, and forgets its signal', async () => {
    const { pool } = setUp(tight);
    const first = await pool.connect();
    const controller = new AbortController();
    const removed = vi.spyOn(controller.signal, 'removeEventListener');
    const aborted = pool.connect({ signal: controller.signal });
    const next = pool.connect();
    controller.abort();
    await expect(aborted).rejects.toBe(controller.signal.reason);
    await first.close();
    expect(idOf(await next)).toBe(1);
    expect(removed).toHaveBeenCalledOnce();
  });

  it('leaves no timer behind when a waiter is served', async () => {
    useFakeClock();
    const { pool } = setUp(tight);
    const first = await pool.connect();
    const waiting = pool.connect();
    await first.close();
    await waiting;
    expect(vi.getTimerCount()).toBe(0);
  });

  it('refuses its waiters at once on dispose()', async () => {
    const { pool } = setUp(tight);
    await pool.connect();
    const waiting = pool.connect();
    void pool.dispose();
    await expect(waiting).rejects.toThrow(ResourceClosedError);
  });

  it('serves the one that is left of 10,000 waiters who leave from the back, the front and the middle', async () => {
    const { pool } = setUp({ ...tight, poolMaxWaiting: 10_000 });
    const first = await pool.connect();
    const controllers = Array.from({ length: 10_000 }, () => new AbortController());
    const outcomes = Promise.allSettled(controllers.map(({ signal }) => pool.connect({ signal })));
    for (const controller of controllers.slice(5_000).reverse()) controller.abort();
    for (const controller of controllers.slice(0, 2_000)) controller.abort();
    for (const controller of controllers.slice(2_001, 5_000)) controller.abort();
    await first.close();
    const statuses = (await outcomes).map(({ status }) => status);
    expect([statuses.indexOf('fulfilled'), statuses.lastIndexOf('fulfilled')]).toEqual([2_000, 2_000]);
  });
});

describe('deadlock', () => {
  it('refuses the request that makes every holder wait', async () => {
    const { pool } = setUp({ poolSize: 2, maxOverflow: 0 });
    const [one, two] = await connectMany(pool, 2);
    const waiting = pool.connect({ holding: [one!] });
    const failure: unknown = await pool.connect({ holding: [two!] }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(PoolDeadlockError);
    expect(String(failure)).toMatch(/each of the 2 connections/);
    await two!.close();
    expect((await waiting).isValid).toBe(true);
  });

  it('refuses a caller who holds the only connection', async () => {
    const { pool } = setUp({ poolSize: 1, maxOverflow: 0 });
    const only = await pool.connect();
    await expect(pool.connect({ holding: [only] })).rejects.toBeInstanceOf(PoolDeadlockError);
  });

  it('lets wait who can still be served: another holder does not wait', async () => {
    const { pool } = setUp({ poolSize: 2, maxOverflow: 0 });
    const [one, two] = await connectMany(pool, 2);
    const waiting = pool.connect({ holding: [one!] });
    await two!.close();
    expect((await waiting).isValid).toBe(true);
  });

  it('lets wait who can still be served: the limit is not reached', async () => {
    const { pool } = setUp({ poolSize: 1, maxOverflow: 1 });
    const one = await pool.connect();
    expect((await pool.connect({ holding: [one] })).isValid).toBe(true);
  });

  it('no longer counts a holder whose wait has ended', async () => {
    const { pool } = setUp({ poolSize: 2, maxOverflow: 0 });
    const [one, two] = await connectMany(pool, 2);
    const controller = new AbortController();
    const gone = pool.connect({ holding: [one!], signal: controller.signal });
    controller.abort();
    await expect(gone).rejects.toBe(controller.signal.reason);
    const waiting = pool.connect({ holding: [two!] });
    await one!.close();
    expect((await waiting).isValid).toBe(true);
  });

  it('no longer counts a held connection that has ended', async () => {
    const { pool } = setUp({ poolSize: 2, maxOverflow: 0 });
    const [one, two] = await connectMany(pool, 2);
    const earlier = pool.connect();
    const holder = pool.connect({ holding: [one!] });
    await one!.close();
    const waiting = pool.connect({ holding: [two!] });
    await (await earlier).close();
    await (await holder).close();
    expect((await waiting).isValid).toBe(true);
  });

  it('ignores connections of the caller that have ended', async () => {
    const { pool } = setUp({ poolSize: 1, maxOverflow: 0 });
    const ended = await pool.connect();
    await ended.close();
    const only = await pool.connect();
    const waiting = pool.connect({ holding: [ended] });
    await only.close();
    expect((await waiting).isValid).toBe(true);
  });

  it('ignores connections of the caller that belong to another pool', async () => {
    const { pool } = setUp({ poolSize: 1, maxOverflow: 0 });
    const foreign = await setUp().pool.connect();
    const only = await pool.connect();
    const waiting = pool.connect({ holding: [foreign] });
    await only.close();
    expect((await waiting).isValid).toBe(true);
  });
});

describe('reset on return', () => {
  async function dirty(pool: QueuePool): Promise<PooledConnection> {
    const loan = await pool.connect();
    await loan.session.execute([], { text: 'BEGIN' });
    return loan;
  }

  it('rolls back what was left open', async () => {
    const { driver, pool } = setUp();
    await (await dirty(pool)).close();
    expect(driver.sessions[0]?.log).toEqual(['BEGIN', 'ROLLBACK']);
  });

  it('rolls back a failed transaction also when it should commit', async () => {
    const { driver, pool } = setUp({ poolResetOnReturn: 'commit' });
    const loan = await dirty(pool);
    sessionOf(loan).status = 'failed';
    await loan.close();
    expect(driver.sessions[0]?.log).toEqual(['BEGIN', 'ROLLBACK']);
  });

  it('resets a session on which something is still under way', async () => {
    const { driver, pool } = setUp();
    const loan = await pool.connect();
    sessionOf(loan).isBusy = true;
    await loan.close();
    expect(driver.sessions[0]?.log).toEqual(['ROLLBACK']);
  });

  it('serves a waiter only after the reset', async () => {
    const { driver, pool } = setUp({ poolSize: 1, maxOverflow: 0 });
    const loan = await dirty(pool);
    driver.sessions[0]!.commands.shut();
    const closing = loan.close();
    let served = false;
    const waiting = pool.connect().then(() => (served = true));
    await settle();
    expect(served).toBe(false);
    driver.sessions[0]!.commands.open();
    await Promise.all([closing, waiting]);
    expect(driver.attempts).toBe(1);
  });

  it('terminates the session and serves the waiter when the reset fails', async () => {
    const { driver, pool } = setUp({ poolSize: 1, maxOverflow: 0 });
    const loan = await dirty(pool);
    sessionOf(loan).failures.set('ROLLBACK', unreachable());
    const waiting = pool.connect();
    await loan.close();
    expect(idOf(await waiting)).toBe(2);
    expect(driver.sessions[0]?.log).toEqual(['BEGIN', 'ROLLBACK', '(terminate)']);
  });

  it('terminates the session when the server is not idle after the reset', async () => {
    const { driver, pool } = setUp();
    const loan = await dirty(pool);
    sessionOf(loan).isStuck = true;
    await loan.close();
    expect(driver.sessions[0]?.log).toEqual(['BEGIN', 'ROLLBACK', '(terminate)']);
  });

  it('terminates the session when the reset gets no answer for five seconds', async () => {
    useFakeClock();
    const { driver, pool } = setUp();
    const loan = await dirty(pool);
    driver.sessions[0]!.commands.shut();
    const closing = loan.close();
    await vi.advanceTimersByTimeAsync(4_999);
    expect(driver.live).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    await closing;
    expect([driver.live, pool.checkedIn(), vi.getTimerCount()]).toEqual([0, 0, 0]);
  });
});

describe('replacement', () => {
  it('PO-34 replaces at its checkout what is older than poolRecycle', async () => {
    useFakeClock();
    const { driver, pool } = setUp({ poolRecycle: 30_000 });
    await (await pool.connect()).close();
    // Each session expires up to a quarter earlier, so that not all do at once.
    await vi.advanceTimersByTimeAsync(22_500);
    const young = await pool.connect();
    expect(idOf(young)).toBe(1);
    await young.close();
    await vi.advanceTimersByTimeAsync(7_501);
    expect(idOf(await pool.connect())).toBe(2);
    expect(driver.sessions[0]?.log).toEqual(['(close)']);
  });

  it('RC-01 pings at every checkout but that of a new connection', async () => {
    const { driver, pool } = setUp({ poolSize: 1, poolPrePing: true });
    for (let turn = 0; turn < 3; turn += 1) await (await pool.connect()).close();
    expect(driver.sessions[0]?.log).toEqual(['', '']);
  });

  it('replaces after a failed ping the other idle connections too, without pinging them', async () => {
    const { driver, pool } = setUp({ poolSize: 2, poolPrePing: true });
    await closeAll(await connectMany(pool, 2));
    for (const session of driver.sessions) session.failures.set('', unreachable());
    const loans = [await pool.connect(), await pool.connect()];
    expect(loans.map(idOf)).toEqual([3, 4]);
    expect(driver.sessions.slice(0, 2).map((session) => session.log)).toEqual([
      ['', '(terminate)'],
      ['(terminate)'],
    ]);
  });

  it('keeps no more than poolSize idle connections while a ping is under way', async () => {
    const { driver, pool } = setUp({ poolSize: 1, maxOverflow: 2, poolPrePing: true });
    const loans = await connectMany(pool, 3);
    await loans[0]!.close();
    driver.sessions[0]!.commands.shut();
    const waiting = pool.connect();
    await closeAll(loans.slice(1));
    expect(pool.checkedIn()).toBe(1);
    driver.sessions[0]!.commands.open();
    await waiting;
  });

  it('gives up a ping after five seconds', async () => {
    useFakeClock();
    const { driver, pool } = setUp({ poolPrePing: true });
    await (await pool.connect()).close();
    driver.sessions[0]!.commands.shut();
    const waiting = pool.connect();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(idOf(await waiting)).toBe(2);
  });

  it('replaces idle connections at the next checkout after invalidateAll(), not before', async () => {
    const { driver, pool } = setUp({ poolSize: 2 });
    await closeAll(await connectMany(pool, 2));
    pool.invalidateAll();
    expect(driver.live).toBe(2);
    expect(idOf(await pool.connect())).toBe(3);
    expect(driver.sessions.map((session) => session.isOpen)).toEqual([false, false, true]);
  });

  it('does not lend a connection that was being opened when everything was invalidated', async () => {
    const { driver, pool } = setUp();
    driver.connects.shut();
    const waiting = pool.connect();
    pool.invalidateAll();
    driver.connects.open();
    expect(idOf(await waiting)).toBe(2);
  });
});

describe('idle timeout', () => {
  it('closes what has been idle too long, and not what has not', async () => {
    useFakeClock();
    const { driver, pool } = setUp({ poolSize: 3, poolIdleTimeout: 1_000 });
    const [one, two] = await connectMany(pool, 2);
    await one!.close();
    await vi.advanceTimersByTimeAsync(600);
    await two!.close();
    await vi.advanceTimersByTimeAsync(400);
    expect(driver.sessions.map((session) => session.isOpen)).toEqual([false, true]);
    await vi.advanceTimersByTimeAsync(600);
    expect([driver.live, vi.getTimerCount()]).toEqual([0, 0]);
  });

  it('leaves poolMinIdle of them open', async () => {
    useFakeClock();
    const { driver, pool } = setUp({ poolSize: 3, poolIdleTimeout: 1_000, poolMinIdle: 2 });
    await closeAll(await connectMany(pool, 3));
    await vi.advanceTimersByTimeAsync(5_000);
    expect([driver.live, pool.checkedIn(), vi.getTimerCount()]).toEqual([2, 2, 0]);
  });

  it('needs one timer for all', async () => {
    useFakeClock();
    const { pool } = setUp({ poolSize: 5, poolIdleTimeout: 1_000 });
    for (let round = 0; round < 3; round += 1) await closeAll(await connectMany(pool, 5));
    expect(vi.getTimerCount()).toBe(1);
  });

  it('keeps no process alive', async () => {
    const { pool } = setUp({ poolIdleTimeout: 60_000 });
    const loan = await pool.connect();
    const timers = vi.spyOn(globalThis, 'setTimeout');
    await loan.close();
    const refs = timers.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef());
    timers.mockRestore();
    await pool.dispose();
    expect(refs).toEqual([false]);
  });
});

describe('dispose', () => {
  it('PO-30 closes the idle ones and resolves when they are closed', async () => {
    const { driver, pool } = setUp();
    const [one, two] = await connectMany(pool, 2);
    await one!.close();
    driver.sessions[0]!.goodbye.shut();
    let disposed = false;
    const disposal = pool.dispose().then(() => (disposed = true));
    await settle();
    expect([disposed, two!.isValid]).toEqual([false, true]);
    driver.sessions[0]!.goodbye.open();
    await disposal;
    expect(driver.sessions.map((session) => session.isOpen)).toEqual([false, true]);
    await two!.close();
    expect([driver.sessions.map((session) => session.isOpen), pool.checkedIn()]).toEqual([[false, false], 0]);
  });

  it('waits for a reset under way and closes that connection', async () => {
    const { driver, pool } = setUp();
    const loan = await pool.connect();
    await loan.session.execute([], { text: 'BEGIN' });
    driver.sessions[0]!.commands.shut();
    void loan.close();
    const disposal = pool.dispose();
    driver.sessions[0]!.commands.open();
    await disposal;
    expect(driver.sessions[0]?.log).toEqual(['BEGIN', 'ROLLBACK', '(close)']);
  });

  it('does its work once, however often it is called', async () => {
    const { driver, pool } = setUp();
    await (await pool.connect()).close();
    await Promise.all([pool.dispose(), pool.dispose()]);
    expect(driver.sessions[0]?.log).toEqual(['(close)']);
  });
});

describe('StaticPool', () => {
  it('opens one connection for all that ask at once, and again when it was lost', async () => {
    const driver = new FakeDriver();
    const pool = new StaticPool(driver);
    const loans = await Promise.all([pool.connect(), pool.connect(), pool.connect()]);
    expect([driver.attempts, pool.checkedOut()]).toEqual([1, 3]);
    driver.sessions[0]?.lose();
    expect(idOf(await pool.connect())).toBe(2);
    await closeAll(loans);
  });

  it('rolls back when the last borrower leaves, not before', async () => {
    const driver = new FakeDriver();
    const pool = new StaticPool(driver);
    const [one, two] = await Promise.all([pool.connect(), pool.connect()]);
    await one.session.execute([], { text: 'BEGIN' });
    await one.close();
    const during = [...driver.sessions[0]!.log];
    await two.close();
    expect([during, driver.sessions[0]?.log]).toEqual([['BEGIN'], ['BEGIN', 'ROLLBACK']]);
  });

  it('lends nothing while it resets', async () => {
    const driver = new FakeDriver();
    const pool = new StaticPool(driver);
    const loan = await pool.connect();
    await loan.session.execute([], { text: 'BEGIN' });
    driver.sessions[0]!.commands.shut();
    const closing = loan.close();
    expect(pool.tryConnect()).toBeUndefined();
    let served = false;
    const waiting = pool.connect().then(() => (served = true));
    await settle();
    expect(served).toBe(false);
    driver.sessions[0]!.commands.open();
    await Promise.all([closing, waiting]);
  });

  it('does not lend a connection that was detached while it was pinged', async () => {
    const driver = new FakeDriver();
    const pool = new StaticPool(driver, { poolPrePing: true });
    const detached = await pool.connect();
    driver.sessions[0]!.commands.shut();
    const waiting = pool.connect();
    await settle();
    detached.detach();
    driver.sessions[0]!.commands.open();
    expect(idOf(await waiting)).toBe(2);
  });
});

describe('AssertionPool', () => {
  it('refuses the second checkout and names where the first was made', async () => {
    const pool = new AssertionPool(new FakeDriver());
    const takeTheFirst = (): Promise<PooledConnection> => pool.connect();
    const first = await takeTheFirst();
    const failure: unknown = await pool.connect().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(IllegalStateError);
    expect(String(failure)).toMatch(/taken at:\n\s+at takeTheFirst /);
    await first.close();
    expect((await pool.connect()).isValid).toBe(true);
  });

  it('refuses the second checkout while the first is being opened', async () => {
    const driver = new FakeDriver();
    const pool = new AssertionPool(driver);
    driver.connects.shut();
    const first = pool.connect();
    await expect(pool.connect()).rejects.toBeInstanceOf(IllegalStateError);
    driver.connects.open();
    await first;
  });

  it('names the site also on the fast path', async () => {
    const pool = new AssertionPool(new FakeDriver());
    await (await pool.connect()).close();
    const takeFast = (): PooledConnection | undefined => pool.tryConnect();
    takeFast();
    expect(() => pool.tryConnect()).toThrow(/taken at:\n\s+at takeFast /);
  });
});

describe('options', () => {
  it('have the documented defaults', () => {
    expect(resolvePoolOptions({ poolSize: undefined })).toEqual({
      poolSize: 5,
      maxOverflow: 10,
      poolTimeout: 30_000,
      poolRecycle: -1,
      poolPrePing: false,
      poolUseLifo: false,
      poolMinIdle: 0,
      poolIdleTimeout: undefined,
      poolResetOnReturn: 'session',
      poolLeakThreshold: undefined,
      poolMaxWaiting: undefined,
      poolQueueTarget: undefined,
      poolQueueInterval: undefined,
      logger: expect.objectContaining({ warn: expect.any(Function) }),
    });
  });

  it.each<[string, unknown]>([
    ['poolSize', -1],
    ['poolSize', 1.5],
    ['poolSize', '5'],
    ['maxOverflow', -2],
    ['poolTimeout', -1],
    ['poolTimeout', Number.NaN],
    ['poolTimeout', 2_147_483_648],
    ['poolRecycle', -2],
    ['poolPrePing', 1],
    ['poolUseLifo', 'yes'],
    ['poolMinIdle', 6],
    ['poolIdleTimeout', 0],
    ['poolResetOnReturn', 'hi'],
    ['poolColour', 'blue'],
  ])('refuse %s: %s by its name', (name, value) => {
    expect(() => resolvePoolOptions({ [name]: value })).toThrow(ArgumentError);
    expect(() => resolvePoolOptions({ [name]: value })).toThrow(`'${name}'`);
  });
});
