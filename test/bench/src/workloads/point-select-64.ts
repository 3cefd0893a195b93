import { CLIENTS, FLOOR, OURS, OURS_ALONE, PIPELINE } from '../peers/index.js';
import type { Workload } from '../workload.js';
import { selecting } from './selecting.js';

export const pointSelect64: Workload = {
  name: 'point-select-64',
  title: 'Point select, 64 callers',
  contenders: selecting([FLOOR, 'pg.Pool', PIPELINE, OURS, OURS_ALONE, ...CLIENTS], 64),
  base: 'pg.Pool',
  goals: [
    { of: OURS, atMost: 0.35 },
    { of: 'postgres.js', over: OURS, atLeast: 2.5 },
    { of: PIPELINE, over: OURS, atLeast: 1.6 },
    { of: OURS, over: FLOOR, cpuAtMost: 1.4 },
  ],
  full: { operations: 6_400 },
  smoke: { operations: 128 },
};
