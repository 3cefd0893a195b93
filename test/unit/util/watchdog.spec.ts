import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Watchdog } from '../../../lib/engine/util/watchdog.js';

/** Milliseconds by which a deadline may be late: timers round up. */
const SLACK = 2;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** The time passes, and what came in it is read. */
async function pass(time: number): Promise<void> {
  vi.advanceTimersByTime(time);
  await new Promise((resolve) => setImmediate(resolve));
}

describe('Watchdog', () => {
  it('ends what has not ended in time, once', async () => {
    const expire = vi.fn<() => void>();
    new Watchdog().watch(100, expire);

    await pass(99);
    expect(expire).not.toHaveBeenCalled();
    await pass(1_000);
    expect(expire).toHaveBeenCalledTimes(1);
  });

  it('leaves alone what has ended in time', async () => {
    const expire = vi.fn<() => void>();
    new Watchdog().watch(100, expire)();

    await pass(1_000);
    expect(expire).not.toHaveBeenCalled();
  });

  it('shares one timer, which gives each its own full time', async () => {
    const watchdog = new Watchdog();
    watchdog.watch(100, () => undefined)();
    await pass(60);
    const expire = vi.fn<() => void>();
    watchdog.watch(100, expire);

    expect(vi.getTimerCount()).toBe(1);
    await pass(99);
    expect(expire).not.toHaveBeenCalled();
    await pass(1 + SLACK);
    expect(expire).toHaveBeenCalledTimes(1);
  });

  it('is in time for what ends before everything else that it watches', async () => {
    const watchdog = new Watchdog();
    watchdog.watch(60_000, () => undefined);
    const expire = vi.fn<() => void>();
    watchdog.watch(100, expire);

    await pass(100 + SLACK);
    expect(expire).toHaveBeenCalledTimes(1);
  });

  it('runs no timer once nothing is watched any more', async () => {
    new Watchdog().watch(100, () => undefined)();

    await pass(100 + SLACK);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('watches again after it had nothing to watch', async () => {
    const watchdog = new Watchdog();
    watchdog.watch(100, () => undefined)();
    await pass(1_000);
    const expire = vi.fn<() => void>();
    watchdog.watch(100, expire);

    await pass(100 + SLACK);
    expect(expire).toHaveBeenCalledTimes(1);
  });

  it('holds on to no request that something was watched in', async () => {
    // Those that are not real have no async context.
    vi.useRealTimers();
    const requests = new AsyncLocalStorage<string>();
    const watchdog = new Watchdog();
    const seen = new Promise<string | undefined>((resolve) => {
      requests.run('request', () => watchdog.watch(1, () => resolve(requests.getStore())));
    });

    await expect(seen).resolves.toBeUndefined();
  });
});
