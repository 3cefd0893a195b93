import { BenchmarkError } from '../benchmark-error.js';
import { runCallers } from '../callers.js';
import { accountIdOf } from '../fixtures.js';
import { Observer } from '../observer.js';
import { peerContenders } from '../peer-contenders.js';
import type { PeerName } from '../peers/index.js';
import type { Contender } from '../workload.js';
import { expectedBalance } from './selecting.js';

const COUNT = 'SELECT sum(visits) FROM accounts';

/** Transactions of two statements by `callers`, never two at once for one account. Every visit must be stored. */
export function visiting(names: readonly PeerName[], callers: number): Contender[] {
  return peerContenders(names, ['visit'], async (peer, { directUrl, size: { operations } }) => {
    let before = 0;
    return {
      async prepare() {
        before = await Observer.ask(directUrl, (observer) => observer.number(COUNT));
      },
      async run() {
        const visit = (index: number): Promise<number> => peer.visit(accountIdOf(index));
        await runCallers({ count: callers, operations }, visit, expectedBalance);
      },
      async verify() {
        const stored = (await Observer.ask(directUrl, (observer) => observer.number(COUNT))) - before;
        if (stored === operations) return;
        throw new BenchmarkError(
          `${stored} visits are stored instead of ${operations}. Look at the peer's transaction.`,
        );
      },
    };
  });
}
