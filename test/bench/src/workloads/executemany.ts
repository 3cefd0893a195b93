import { BenchmarkError } from '../benchmark-error.js';
import { measurementsOf } from '../fixtures.js';
import { GOALS } from '../goals.js';
import { Observer } from '../observer.js';
import { peerContenders } from '../peer-contenders.js';
import { CLIENTS, OURS, type PeerName } from '../peers/index.js';
import { sqlalchemy } from '../peers/sqlalchemy.js';
import type { Workload } from '../workload.js';

const PEERS: readonly PeerName[] = ['pg', OURS, ...CLIENTS];

const STORED = 'SELECT count(*) FROM (SELECT DISTINCT id, sensor, label, value FROM measurements) AS rows';

export const executemany: Workload = {
  name: 'executemany',
  title: 'Executemany of 10,000 rows',
  contenders: [
    ...peerContenders(PEERS, ['insertMany'], async (peer, { directUrl, size }) => {
      const rows = measurementsOf(size.rows ?? 1);
      return {
        prepare: () => Observer.ask(directUrl, (observer) => observer.execute('TRUNCATE measurements')),
        async run() {
          for (let index = 0; index < size.operations; index += 1) await peer.insertMany(rows);
        },
        async verify() {
          const distinct = await Observer.ask(directUrl, (observer) => observer.number(STORED));
          const all = await Observer.ask(directUrl, (observer) =>
            observer.number('SELECT count(*) FROM measurements'),
          );
          if (distinct === rows.length && all === rows.length * size.operations) return;
          throw new BenchmarkError(
            `${all} rows are stored, ${distinct} of them different. Look at the peer's insert.`,
          );
        },
      };
    }),
    sqlalchemy('insertMany'),
  ],
  base: 'pg',
  goals: GOALS.executemany,
  full: { operations: 2, rows: 10_000 },
  smoke: { operations: 1, rows: 100 },
};
