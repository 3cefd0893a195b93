import { BenchmarkError } from '../benchmark-error.js';
import { GOALS } from '../goals.js';
import { OURS } from '../peers/index.js';
import type { Contender, Workload } from '../workload.js';

/** Transactions whose commit `count` listeners wait for; as many calls of listeners a round whatever `count` is. */
function listening(count: number): Contender {
  return {
    name: `${OURS}, ${count.toLocaleString('en')} listeners`,
    async open({ url, size: { operations } }) {
      const { createAsyncEngine } = await import('nest-async-engine/engine');
      const engine = createAsyncEngine(url);
      let heard = 0;
      const listen = (): void => {
        heard += 1;
      };
      const commit = (): Promise<void> =>
        engine.transaction(
          () => {
            for (let index = 0; index < count; index += 1) engine.afterCommit(listen);
          },
          { label: 'listeners' },
        );
      return {
        async run() {
          heard = 0;
          while (heard < operations) await commit();
          if (heard >= operations && heard % count === 0) return;
          throw new BenchmarkError(
            `${heard} calls came to ${count} listeners. Some were lost, or called twice.`,
          );
        },
        close: () => engine.aclose(),
      };
    },
  };
}

export const listeners: Workload = {
  name: 'listeners',
  title: 'Cost per listener of a commit (afterCommit)',
  contenders: [10, 100, 1_000, 10_000].map(listening),
  base: `${OURS}, 1,000 listeners`,
  goals: GOALS.listeners,
  full: { operations: 500_000 },
  smoke: { operations: 10_000 },
};
