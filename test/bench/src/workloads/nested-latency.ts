import { DelayProxy } from '../ways/delay-proxy.js';
import { GOALS } from '../goals.js';
import { CLIENTS, FLOOR, OURS } from '../peers/index.js';
import { sqlalchemy } from '../peers/sqlalchemy.js';
import type { Workload } from '../workload.js';
import { nesting } from './nesting.js';

export const nestedLatency: Workload = {
  name: 'nested-latency',
  title: 'The same with a delay of 1 ms each way',
  contenders: [...nesting([FLOOR, 'pg', OURS, ...CLIENTS]), sqlalchemy('nested')],
  base: 'pg',
  goals: GOALS['nested-latency'],
  full: { operations: 30 },
  smoke: { operations: 2 },
  way: (url) => DelayProxy.start(url, 1),
};
