import { BenchmarkError } from './benchmark-error.js';

export interface Callers {
  readonly count: number;
  readonly operations: number;
}

/**
 * Spreads operations over callers of which each awaits one before the next, and adds up what they give.
 *
 * @throws BenchmarkError when the sum is not the expected one.
 */
export async function runCallers(
  { count, operations }: Callers,
  operation: (index: number) => Promise<number>,
  expected: (index: number) => number,
): Promise<void> {
  const call = async (first: number): Promise<number> => {
    let sum = 0;
    for (let index = first; index < operations; index += count) sum += await operation(index);
    return sum;
  };
  const sums = await Promise.all(Array.from({ length: count }, (_, first) => call(first)));
  expectSum(
    sums.reduce((total, sum) => total + sum, 0),
    operations,
    expected,
  );
}

/** @throws BenchmarkError when `sum` is not that of the expected values. */
export function expectSum(sum: number, operations: number, expected: (index: number) => number): void {
  let wanted = 0;
  for (let index = 0; index < operations; index += 1) wanted += expected(index);
  if (sum === wanted) return;
  throw new BenchmarkError(`the results add up to ${sum} instead of ${wanted}. Look at what the peer gives.`);
}
