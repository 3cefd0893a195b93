import { deepStrictEqual } from 'node:assert/strict';
import { runCallers } from '../callers.js';
import { accountIdOf, accountOf } from '../fixtures.js';
import { peerContenders } from '../peer-contenders.js';
import type { PeerName } from '../peers/index.js';
import type { Contender } from '../workload.js';

/** Point selects by `callers` that each await one before the next. */
export function selecting(names: readonly PeerName[], callers: number): Contender[] {
  return peerContenders(names, ['selectById'], async (peer, { size: { operations } }) => {
    deepStrictEqual({ ...(await peer.selectById(7)) }, accountOf(7));
    const select = async (index: number): Promise<number> =>
      (await peer.selectById(accountIdOf(index))).balance;
    return {
      async run() {
        await runCallers({ count: callers, operations }, select, expectedBalance);
      },
    };
  });
}

export function expectedBalance(index: number): number {
  return accountOf(accountIdOf(index)).balance;
}
