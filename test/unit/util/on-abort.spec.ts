import { getEventListeners, getMaxListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { onAbort } from '../../../lib/engine/util/on-abort.js';

const MANY = 20;

describe('onAbort()', () => {
  it('gives a signal one listener for all that wait for it, until the last of them has left', () => {
    const { signal } = new AbortController();
    const limit = getMaxListeners(signal);
    const forgets = Array.from({ length: MANY }, () => onAbort(signal, () => undefined));
    const seen = [[getEventListeners(signal, 'abort').length, getMaxListeners(signal)]];
    for (const forget of forgets) {
      forget();
      forget();
      seen.push([getEventListeners(signal, 'abort').length, getMaxListeners(signal)]);
    }
    const listening = [1, limit + 1];
    expect(seen).toEqual([...Array.from({ length: MANY }, () => listening), [0, limit]]);
  });

  it('tells those that still wait, in their order, and none of them twice', () => {
    const controller = new AbortController();
    const told: number[] = [];
    const forgets = [0, 1, 2, 3].map((place) =>
      onAbort(controller.signal, () => {
        told.push(place);
        // What one that is told ends is not told.
        if (place === 1) forgets[2]?.();
      }),
    );
    forgets[0]?.();
    controller.abort();
    controller.signal.dispatchEvent(new Event('abort'));
    expect(told).toEqual([1, 3]);
  });

  it('listens anew when all have left', () => {
    const controller = new AbortController();
    let told = 0;
    onAbort(controller.signal, () => undefined)();
    onAbort(controller.signal, () => (told += 1));
    controller.abort();
    expect(told).toBe(1);
  });
});
