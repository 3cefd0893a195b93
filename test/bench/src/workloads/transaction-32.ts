import { CLIENTS, FLOOR, OURS, OURS_ALONE, PIPELINE } from '../peers/index.js';
import type { Workload } from '../workload.js';
import { visiting } from './visiting.js';

export const transaction32: Workload = {
  name: 'transaction-32',
  title: 'Transaction of 2 statements, 32 callers',
  contenders: visiting([FLOOR, 'pg.Pool', PIPELINE, OURS, OURS_ALONE, ...CLIENTS], 32),
  base: 'pg.Pool',
  goals: [
    { of: OURS, atMost: 0.75 },
    { of: OURS, over: FLOOR, cpuAtMost: 1.5 },
  ],
  full: { operations: 1_600 },
  smoke: { operations: 64 },
};
