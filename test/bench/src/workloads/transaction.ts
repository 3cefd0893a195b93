import { CLIENTS, FLOOR, OURS, OURS_ALONE, PIPELINE } from '../peers/index.js';
import type { Workload } from '../workload.js';
import { visiting } from './visiting.js';

export const transaction: Workload = {
  name: 'transaction',
  title: 'Transaction of 2 statements, one caller',
  contenders: visiting([FLOOR, 'pg', 'pg.Pool', PIPELINE, OURS, OURS_ALONE, ...CLIENTS], 1),
  base: 'pg',
  goals: [
    { of: OURS, atMost: 0.75 },
    { of: OURS, over: FLOOR, cpuAtMost: 1.5 },
  ],
  full: { operations: 800 },
  smoke: { operations: 5 },
};
