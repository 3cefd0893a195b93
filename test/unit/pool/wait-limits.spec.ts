import { afterEach, expect, it, vi } from 'vitest';
import { WaitLimits } from '../../../lib/engine/pool/wait-limits.js';
import { WaitingLine } from '../../../lib/engine/pool/waiting-line.js';
import { randomOf } from '../../support/random.js';

afterEach(() => void vi.useRealTimers());

const lineOf = (): WaitingLine => new WaitingLine((timeout) => new Error(`after ${timeout}`));

it.each([
  ['of one limit', [300]],
  ['of several limits', [300, 0, 50, 1_000, 7]],
])('each wait %s ends when its own time is over, and one that has ended stays so', async (_, limits) => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const random = randomOf(15);
  const line = lineOf();
  const wrong: string[] = [];
  const waits: Promise<unknown>[] = [];
  for (let count = 0; count < 400; count += 1) {
    const timeout = limits[random(limits.length)] ?? 0;
    const waiter = line.join({ timeout });
    const wait = waiter.promise.catch((error: Error) => {
      const waited = performance.now() - waiter.joinedAt;
      const isOver = error.message === `after ${timeout}` && waited >= timeout && waited < timeout + 2;
      if (error.message !== 'left' && !isOver) wrong.push(`${error.message}: ${waited}`);
    });
    waits.push(wait);
    await vi.advanceTimersByTimeAsync(random(4));
    if (random(3) === 0) waiter.reject(new Error('left'));
  }
  await vi.advanceTimersByTimeAsync(1_002);
  expect(wrong).toEqual([]);
  expect(line.size > 0).toBe(limits.includes(0));
  line.rejectAll(new Error('left'));
  await Promise.all(waits);
  expect(vi.getTimerCount()).toBe(0);
});

it('a line has one timer, however many wait, and none when the last has left', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const line = lineOf();
  const waiters = Array.from({ length: 1_000 }, () => line.join({ timeout: 30_000 }));
  expect(vi.getTimerCount()).toBe(1);
  const ends = Promise.allSettled(waiters.map(({ promise }) => promise));
  line.rejectAll(new Error('left'));
  expect(vi.getTimerCount()).toBe(0);
  await ends;
});

it('a wait ends with its timer where only timers are advanced, and no clock', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const { promise } = lineOf().join({ timeout: 30_000 });
  const [end] = await Promise.allSettled([promise, vi.advanceTimersByTimeAsync(30_001)]);
  expect(end).toMatchObject({ reason: { message: 'after 30000' } });
});

it('a time that is over already starts no timer with less than nothing, of which Node warns', () => {
  const start = vi.spyOn(globalThis, 'setTimeout');
  const limits = new WaitLimits([], (timeout) => new Error(`after ${timeout}`));
  limits.add({ joinedAt: performance.now() - 50, timeout: 10, reject: () => undefined });
  limits.stop();
  expect(start.mock.calls.map(([, time]) => time)).toEqual([1]);
  start.mockRestore();
});
