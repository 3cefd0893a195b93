import { OURS } from '../peers/index.js';
import type { Workload } from '../workload.js';
import { selecting } from './selecting.js';

export const pointSelect: Workload = {
  name: 'point-select',
  title: 'Point select, one caller',
  contenders: selecting(
    ['pg', 'pg.Pool', OURS, 'postgres.js', 'Kysely', 'Drizzle', 'Knex', 'TypeORM', 'pg-promise'],
    1,
  ),
  base: 'pg',
  goals: [{ of: OURS, atMost: 0.8 }],
  full: { operations: 3_000 },
  smoke: { operations: 20 },
};
