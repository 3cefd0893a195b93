import { runCallers } from '../callers.js';
import { accountIdOf } from '../fixtures.js';
import { GOALS } from '../goals.js';
import { OURS } from '../peers/index.js';
import type { Contender, Workload } from '../workload.js';
import { expectedBalance } from './selecting.js';

/** One scope with one statement after the other, while `count` other scopes are open. */
function besideScopes(count: number): Contender {
  return {
    name: `${OURS}, ${count.toLocaleString('en')} open scopes`,
    async open({ url, size: { operations } }) {
      const [{ createAsyncEngine }, { selectAccount }] = await Promise.all([
        import('nest-async-engine/engine'),
        import('../peers/ours.js'),
      ]);
      const engine = createAsyncEngine(url);
      const leases = Array.from({ length: count }, () => engine.openScope({ label: 'idle' }).lease());
      const request = (index: number): Promise<number> =>
        engine.scope(
          async () => {
            const { balance } = await engine.execute(selectAccount, { id: accountIdOf(index) }).one();
            return balance;
          },
          { label: 'request' },
        );
      return {
        run: () => runCallers({ count: 1, operations }, request, expectedBalance),
        async close() {
          for (const lease of leases) await lease.release();
          await engine.aclose();
        },
      };
    },
  };
}

export const openScopes: Workload = {
  name: 'open-scopes',
  title: 'Cost per request beside open scopes',
  contenders: [10, 100, 1_000, 10_000].map(besideScopes),
  base: `${OURS}, 1,000 open scopes`,
  goals: GOALS['open-scopes'],
  // Mostly waiting for the server, so that five are not enough to tell a difference.
  full: { operations: 2_000, rounds: 9 },
  smoke: { operations: 20 },
};
