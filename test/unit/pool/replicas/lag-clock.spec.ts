import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LagClock } from '../../../../lib/engine/pool/replicas/lag-clock.js';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** A clock that was told of each place at its time. */
function clockWith(places: readonly (readonly [at: number, lsn: bigint])[], resolution = 0): LagClock {
  const clock = new LagClock({ memory: 2_000, resolution });
  const start = performance.now();
  for (const [at, lsn] of places) clock.note(lsn, start + at);
  return clock;
}

it('says how long ago the primary had first written something', () => {
  const clock = clockWith([
    [0, 10n],
    [100, 20n],
    [200, 20n],
  ]);
  vi.advanceTimersByTime(300);
  expect([5n, 10n, 11n, 20n].map((lsn) => clock.ageOf(lsn))).toEqual([300, 300, 200, 200]);
});

it('knows no age of what is newer than all that it was told', () => {
  const clock = clockWith([[0, 10n]]);
  vi.advanceTimersByTime(300);
  expect(clock.ageOf(11n)).toBe(0);
});

it('keeps what was told first where answers overtake each other', () => {
  const clock = clockWith([
    [0, 20n],
    [1, 10n],
  ]);
  vi.advanceTimersByTime(100);
  expect(clock.ageOf(20n)).toBe(100);
});

it('goes on at a lower place behind a promotion', () => {
  const clock = clockWith([
    [0, 20n],
    [1_000, 10n],
    [1_100, 30n],
  ]);
  expect(clock.lagOf(10n)).toBe(100);
});

it('takes places that are close together as one, and forgets old ones', () => {
  const clock = clockWith(
    [
      [0, 1n],
      [2_000, 10n],
      [2_001, 11n],
    ],
    2,
  );
  vi.advanceTimersByTime(2_100);
  expect(clock.ageOf(1n)).toBe(100);
  expect(clock.ageOf(11n)).toBe(100);
});

it('says how long ago the primary had written the newest that a replica has', () => {
  const clock = clockWith([
    [0, 10n],
    [100, 20n],
    [200, 20n],
  ]);
  vi.advanceTimersByTime(300);
  expect([9n, 10n, 19n, 20n, 25n].map((lsn) => clock.ageUpTo(lsn))).toEqual([Infinity, 300, 300, 200, 200]);
});
