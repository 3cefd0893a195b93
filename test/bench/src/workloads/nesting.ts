import { runCallers } from '../callers.js';
import { accountIdOf } from '../fixtures.js';
import { peerContenders } from '../peer-contenders.js';
import type { PeerName } from '../peers/index.js';
import type { Contender } from '../workload.js';
import { expectedBalance } from './selecting.js';

/** A transaction with two nested ones of one select each, by one caller. */
export function nesting(names: readonly PeerName[]): Contender[] {
  return peerContenders(names, ['nested'], async (peer, { size: { operations } }) => ({
    async run() {
      await runCallers(
        { count: 1, operations },
        (index) => peer.nested(accountIdOf(index), accountIdOf(index + 1)),
        (index) => expectedBalance(index) + expectedBalance(index + 1),
      );
    },
  }));
}
