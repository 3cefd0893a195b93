import type { Attributes } from '@opentelemetry/api';
import { describe, expect, it } from 'vitest';
import { MeasurementQueue } from '../../../lib/opentelemetry/measurement-queue.js';

describe('a queue of measurements', () => {
  it('gives each to its histogram, in seconds and in their order, when it is asked or has 64', () => {
    const recorded: [string, number, Attributes | undefined][] = [];
    const histogram = (name: string) => ({
      record: (value: number, attributes?: Attributes) => void recorded.push([name, value, attributes]),
    });
    const [first, second] = [histogram('first'), histogram('second')];
    const queue = new MeasurementQueue();
    queue.add(first, 1_500, { a: 1 });
    queue.add(second, 20, { b: 2 });
    expect(recorded).toEqual([]);
    queue.flush();
    queue.flush();
    expect(recorded).toEqual([
      ['first', 1.5, { a: 1 }],
      ['second', 0.02, { b: 2 }],
    ]);
    for (let count = 0; count < 64; count += 1) queue.add(first, count, {});
    expect(recorded).toHaveLength(2 + 64);
  });
});
