import { BenchmarkError } from '../benchmark-error.js';
import { runCallers } from '../callers.js';
import { GOALS } from '../goals.js';
import type { EmptyApplication } from '../nest/empty-call.js';
import type { Contender, Workload } from '../workload.js';

function calling(name: string, callOf: (application: EmptyApplication) => () => Promise<number>): Contender {
  return {
    name,
    async open({ url, size: { operations } }) {
      const { startEmptyApplication } = await import('../nest/empty-call.js');
      const application = await startEmptyApplication(url);
      const { pool } = application.engine;
      const call = callOf(application);
      return {
        run: () => runCallers({ count: 1, operations }, call, () => 1),
        // A connection that was never opened carried no SQL.
        async verify() {
          if (pool.checkedIn() + pool.checkedOut() === 0) return;
          throw new BenchmarkError(`an empty transaction opened a connection: ${pool.status()}`);
        },
        close: application.close,
      };
    },
  };
}

const plain = calling(
  'a plain async call',
  ({ service }) =>
    () =>
      service.plain(),
);
const transactional = calling(
  '@Transactional()',
  ({ service }) =>
    () =>
      service.transactional(),
);
const functional = calling(
  'engine.transaction()',
  ({ engine }) =>
    () =>
      engine.transaction(() => 1),
);

export const emptyTransactional: Workload = {
  name: 'empty-transactional',
  title: '@Transactional() call with an empty body',
  contenders: [plain, transactional, functional],
  base: plain.name,
  goals: GOALS['empty-transactional'],
  full: { operations: 100_000 },
  smoke: { operations: 1_000 },
  budget: 3_000,
};
