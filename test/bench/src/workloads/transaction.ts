import { GOALS } from '../goals.js';
import { CLIENTS, FLOOR, OURS, OURS_ALONE, PIPELINE } from '../peers/index.js';
import { sqlalchemy } from '../peers/sqlalchemy.js';
import type { Workload } from '../workload.js';
import { visiting } from './visiting.js';

export const transaction: Workload = {
  name: 'transaction',
  title: 'Transaction of 2 statements, one caller',
  contenders: [
    ...visiting([FLOOR, 'pg', 'pg.Pool', PIPELINE, OURS, OURS_ALONE, ...CLIENTS], 1),
    sqlalchemy('visit'),
  ],
  base: 'pg',
  goals: GOALS.transaction,
  processes: 3,
  full: { operations: 800, warmUp: 8_000 },
  smoke: { operations: 5 },
};
