import { GOALS } from '../goals.js';
import { CLIENTS, FLOOR, OURS, OURS_ALONE, PIPELINE } from '../peers/index.js';
import { sqlalchemy } from '../peers/sqlalchemy.js';
import type { Workload } from '../workload.js';
import { visiting } from './visiting.js';

export const transaction32: Workload = {
  name: 'transaction-32',
  title: 'Transaction of 2 statements, 32 callers',
  contenders: [
    ...visiting([FLOOR, 'pg.Pool', PIPELINE, OURS, OURS_ALONE, ...CLIENTS], 32),
    sqlalchemy('visit', 32),
  ],
  base: 'pg.Pool',
  goals: GOALS['transaction-32'],
  processes: 3,
  full: { operations: 1_600, warmUp: 16_000 },
  smoke: { operations: 64 },
};
