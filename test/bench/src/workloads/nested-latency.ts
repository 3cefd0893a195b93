import { CLIENTS, FLOOR, OURS } from '../peers/index.js';
import type { Workload } from '../workload.js';
import { nesting } from './nesting.js';

export const nestedLatency: Workload = {
  name: 'nested-latency',
  title: 'The same with a delay of 1 ms each way',
  contenders: nesting([FLOOR, 'pg', OURS, ...CLIENTS]),
  base: 'pg',
  // 3 round trips to 8, and a little for what both do on the machine itself.
  goals: [{ of: OURS, atMost: 0.39 }],
  full: { operations: 30 },
  smoke: { operations: 2 },
  delay: 1,
};
