import { GOALS } from '../goals.js';
import { CLIENTS, FLOOR, OURS } from '../peers/index.js';
import { sqlalchemy } from '../peers/sqlalchemy.js';
import type { Workload } from '../workload.js';
import { nesting } from './nesting.js';

export const nested: Workload = {
  name: 'nested',
  title: 'Transaction with 2 nested ones of 1 statement',
  contenders: [...nesting([FLOOR, 'pg', OURS, ...CLIENTS]), sqlalchemy('nested')],
  base: 'pg',
  goals: GOALS.nested,
  processes: 3,
  full: { operations: 500, warmUp: 4_000 },
  smoke: { operations: 5 },
};
