import { GOALS } from '../goals.js';
import { CLIENTS, FLOOR, OURS, OURS_ALONE, PIPELINE } from '../peers/index.js';
import { sqlalchemy } from '../peers/sqlalchemy.js';
import type { Workload } from '../workload.js';
import { selecting } from './selecting.js';

export const pointSelect64: Workload = {
  name: 'point-select-64',
  title: 'Point select, 64 callers',
  contenders: [
    ...selecting([FLOOR, 'pg.Pool', PIPELINE, OURS, OURS_ALONE, ...CLIENTS], 64),
    sqlalchemy('selectById', 64),
  ],
  base: 'pg.Pool',
  goals: GOALS['point-select-64'],
  full: { operations: 6_400, warmUp: 38_400 },
  smoke: { operations: 128 },
};
