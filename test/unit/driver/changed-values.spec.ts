import { expect, it } from 'vitest';
import { ChangedValues } from '../../../lib/engine/driver/changed-values.js';

it('a value that is back to what it was has not changed, by whatever way it went', () => {
  const changed = new ChangedValues();
  changed.note('TimeZone', 'UTC', 'CET');
  changed.note('TimeZone', 'CET', 'EST');
  expect([changed.size, changed.has('TimeZone')]).toEqual([1, true]);
  changed.note('TimeZone', 'EST', 'UTC');
  expect([changed.size, changed.has('TimeZone')]).toEqual([0, false]);
});

it('what a value is when it is settled is what it is compared with', () => {
  const changed = new ChangedValues();
  changed.note('TimeZone', undefined, 'CET');
  changed.settle();
  expect(changed.size).toBe(0);
  changed.note('TimeZone', 'CET', 'CET');
  expect(changed.size).toBe(0);
  changed.note('TimeZone', 'CET', 'UTC');
  expect(changed.size).toBe(1);
});
