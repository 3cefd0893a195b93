import { GOALS } from '../goals.js';
import { OURS, OURS_POOLED, type PeerName } from '../peers/index.js';
import { PgBouncer } from '../ways/pgbouncer.js';
import type { Workload } from '../workload.js';
import { selecting } from './selecting.js';
import { visiting } from './visiting.js';

const CALLERS = 16;
const PEERS: readonly PeerName[] = ['pg.Pool, unnamed', OURS, OURS_POOLED];

export const pgbouncerSelect: Workload = {
  name: 'pgbouncer-select',
  title: `Point select behind PgBouncer, ${CALLERS} callers`,
  contenders: selecting(PEERS, CALLERS),
  base: 'pg.Pool, unnamed',
  goals: GOALS.pgbouncer,
  way: (url) => PgBouncer.start(url),
  full: { operations: 3_200, warmUp: 25_600 },
  smoke: { operations: 32 },
};

export const pgbouncerTransaction: Workload = {
  ...pgbouncerSelect,
  name: 'pgbouncer-transaction',
  title: `Transaction of 2 statements behind PgBouncer, ${CALLERS} callers`,
  contenders: visiting(PEERS, CALLERS),
  full: { operations: 1_600, warmUp: 12_800 },
};
