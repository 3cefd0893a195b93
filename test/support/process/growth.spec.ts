import { expect, it } from 'vitest';
import { growthThatRecurs } from './growth.js';

it.each([
  ['small', [1], 1],
  ['large once', [20, 1], 1],
  ['large each time, as a leak is', [20, 20], 20],
])('a growth that is %s', async (_, growths, told) => {
  const left = [...growths];
  expect(await growthThatRecurs(10, async () => left.shift() ?? NaN)).toBe(told);
  expect(left).toEqual([]);
});
