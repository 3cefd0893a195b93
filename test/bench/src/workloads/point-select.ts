import { CLIENTS, FLOOR, OURS, OURS_ALONE, PIPELINE } from '../peers/index.js';
import type { Workload } from '../workload.js';
import { selecting } from './selecting.js';

export const pointSelect: Workload = {
  name: 'point-select',
  title: 'Point select, one caller',
  contenders: selecting([FLOOR, 'pg', 'pg.Pool', PIPELINE, OURS, OURS_ALONE, ...CLIENTS], 1),
  base: 'pg',
  goals: [
    { of: OURS, atMost: 0.8 },
    { of: OURS, over: FLOOR, cpuAtMost: 1.4 },
  ],
  full: { operations: 3_000 },
  smoke: { operations: 20 },
};
