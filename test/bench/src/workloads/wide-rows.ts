import { deepStrictEqual } from 'node:assert/strict';
import { runCallers } from '../callers.js';
import { canonicalWideRow, WIDE_ROWS, wideRowOf } from '../fixtures.js';
import { GOALS } from '../goals.js';
import { peerContenders } from '../peer-contenders.js';
import { CLIENTS, FLOOR, OURS, type PeerName } from '../peers/index.js';
import { sqlalchemy } from '../peers/sqlalchemy.js';
import type { Workload } from '../workload.js';

const PEERS: readonly PeerName[] = [FLOOR, 'pg', 'pg.Pool', OURS, ...CLIENTS];

const SUM_OF_IDS = (WIDE_ROWS * (WIDE_ROWS + 1)) / 2;

export const wideRows: Workload = {
  name: 'wide-rows',
  title: '1,000 rows of 10 columns',
  contenders: [
    ...peerContenders(PEERS, ['selectWide'], async (peer, { size: { operations } }) => {
      const expected = Array.from({ length: WIDE_ROWS }, (_, index) => wideRowOf(index + 1));
      deepStrictEqual((await peer.selectWide()).map(canonicalWideRow), expected);
      const select = async (): Promise<number> => {
        let sum = 0;
        for (const { id } of await peer.selectWide()) sum += id;
        return sum;
      };
      return {
        async run() {
          await runCallers({ count: 1, operations }, select, () => SUM_OF_IDS);
        },
      };
    }),
    sqlalchemy('selectWide'),
  ],
  base: 'pg',
  goals: GOALS['wide-rows'],
  full: { operations: 60 },
  smoke: { operations: 2 },
};
