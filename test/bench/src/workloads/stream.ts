import { BenchmarkError } from '../benchmark-error.js';
import { makeHappenings } from '../fixtures.js';
import { GOALS } from '../goals.js';
import { peerContenders } from '../peer-contenders.js';
import { OURS, type PeerName } from '../peers/index.js';
import { sqlalchemy } from '../peers/sqlalchemy.js';
import type { Workload } from '../workload.js';

const PEERS: readonly PeerName[] = [
  'pg',
  OURS,
  'pg-query-stream',
  'postgres.js',
  'Kysely',
  'Knex',
  'TypeORM',
  'MikroORM',
  'pg-promise',
];

export const stream: Workload = {
  name: 'stream',
  title: 'Stream of 1,000,000 rows (pg by pg-cursor)',
  contenders: [
    ...peerContenders(PEERS, ['stream'], async (peer, { size: { rows: count = 1 } }) => ({
      async run() {
        let sum = 0;
        let rows = 0;
        await peer.stream(({ id }) => {
          rows += 1;
          sum += id;
        });
        if (rows === count && sum === (count * (count + 1)) / 2) return;
        throw new BenchmarkError(`${rows} rows came whose ids add up to ${sum}. Look at the peer's stream.`);
      },
    })),
    sqlalchemy('stream'),
  ],
  base: 'pg',
  goals: GOALS.stream,
  full: { operations: 1, rows: 1_000_000, rounds: 3 },
  smoke: { operations: 1, rows: 5_000 },
  fixtures: ({ rows = 1 }) => makeHappenings(rows),
};
