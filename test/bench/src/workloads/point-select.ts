import { GOALS } from '../goals.js';
import { CLIENTS, FLOOR, OURS, OURS_ALONE, PIPELINE } from '../peers/index.js';
import { sqlalchemy } from '../peers/sqlalchemy.js';
import type { Workload } from '../workload.js';
import { selecting } from './selecting.js';

export const pointSelect: Workload = {
  name: 'point-select',
  title: 'Point select, one caller',
  contenders: [
    ...selecting([FLOOR, 'pg', 'pg.Pool', PIPELINE, OURS, OURS_ALONE, ...CLIENTS], 1),
    sqlalchemy('selectById'),
  ],
  base: 'pg',
  goals: GOALS['point-select'],
  processes: 3,
  full: { operations: 3_000, warmUp: 18_000 },
  smoke: { operations: 20 },
};
