import { CLIENTS, FLOOR, OURS } from '../peers/index.js';
import type { Workload } from '../workload.js';
import { nesting } from './nesting.js';

export const nested: Workload = {
  name: 'nested',
  title: 'Transaction with 2 nested ones of 1 statement',
  contenders: nesting([FLOOR, 'pg', OURS, ...CLIENTS]),
  base: 'pg',
  goals: [
    { of: OURS, atMost: 0.5 },
    { of: OURS, over: FLOOR, cpuAtMost: 1.5 },
  ],
  full: { operations: 500 },
  smoke: { operations: 5 },
};
