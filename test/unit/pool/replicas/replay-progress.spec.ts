import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ReplayProgress, type AwaitedWrite } from '../../../../lib/engine/pool/replicas/replay-progress.js';

const write = (lsn: bigint, age: number): AwaitedWrite => ({ lsn, age });

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

it('a replica may have what it was seen to have, however young that is', () => {
  const progress = new ReplayProgress();
  progress.misses(50, 100n);
  expect(progress.mayHave(write(100n, 0), undefined)).toBe(true);
  expect(progress.mayHave(write(101n, 0), undefined)).toBe(false);
});

it('is asked for a newer write by one read at a time, until that has an answer', () => {
  const progress = new ReplayProgress();
  progress.asks(write(7n, 5));
  expect(progress.mayHave(write(8n, 5), undefined)).toBe(false);
  progress.reaches(7n);
  expect(progress.mayHave(write(8n, 5), undefined)).toBe(true);
});

it('is asked again where a question is never answered', () => {
  const progress = new ReplayProgress();
  progress.asks(write(7n, 5));
  vi.advanceTimersByTime(100);
  expect(progress.mayHave(write(8n, 5), undefined)).toBe(true);
});

it('is not asked for writes that are less than twice as old as one that it did not have', () => {
  const progress = new ReplayProgress();
  progress.misses(20, 1n);
  const ages = [0, 20, 39, 40, 90];
  expect(ages.filter((age) => progress.mayHave(write(9n, age), undefined))).toEqual([40, 90]);
  progress.misses(45, 1n);
  expect(ages.filter((age) => progress.mayHave(write(9n, age), undefined))).toEqual([90]);
});

it('turns a read away as often as its delay can double, and not again while it is as quick', () => {
  const progress = new ReplayProgress();
  const lag = 80;
  let misses = 0;
  for (let read = 0; read < 10_000; read += 1) {
    const next = write(BigInt(read + 2), (read * 7) % 200);
    if (read % 1_000 === 0) progress.has(lag);
    if (!progress.mayHave(next, undefined)) continue;
    progress.asks(next);
    if (next.age >= lag) progress.reaches(1n);
    else misses += 1;
    if (next.age < lag) progress.misses(next.age, 1n);
  }
  expect(misses).toBeLessThanOrEqual(Math.log2(2 * lag));
});

it('is asked for writes that are twice as old as one that an examination has found there', () => {
  const progress = new ReplayProgress();
  progress.misses(100, 1n);
  progress.has(Infinity);
  progress.has(15);
  expect([29, 30].map((age) => progress.mayHave(write(9n, age), undefined))).toEqual([false, true]);
});

it('lets all reads ask where the server itself waits, unless that was in vain', () => {
  const progress = new ReplayProgress();
  progress.asks(write(7n, 0));
  expect(progress.mayHave(write(8n, 0), 100)).toBe(true);
  progress.misses(60);
  expect(progress.mayHave(write(8n, 19), 100)).toBe(false);
  expect(progress.mayHave(write(8n, 20), 100)).toBe(true);
});
