import { describe, expect, it } from 'vitest';
import { ArgumentError, createAsyncEngine } from 'nest-async-engine/engine';

describe('the times of a transaction', () => {
  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31])(
    'are refused when no timer can count them: %d',
    async (timeout) => {
      const engine = createAsyncEngine('postgresql://127.0.0.1:1/never');
      // Longer than a timer can count it would end at once, not late.
      await expect(engine.transaction(() => 'done', { timeout })).rejects.toBeInstanceOf(ArgumentError);
    },
  );
});
