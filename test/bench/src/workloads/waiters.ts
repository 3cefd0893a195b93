import { expectSum } from '../callers.js';
import { accountIdOf, type Account } from '../fixtures.js';
import { GOALS } from '../goals.js';
import { CONNECTIONS } from '../peer-contenders.js';
import { OURS } from '../peers/index.js';
import { SELECT_ACCOUNT } from '../peers/statements.js';
import type { Contender, Setting, Subject, Workload } from '../workload.js';
import { expectedBalance } from './selecting.js';

type Select = (id: number) => Promise<number>;

/** A caller takes a connection of its own, selects, and gives it back. */
interface Waiting {
  readonly select: Select;
  readonly close: () => Promise<void>;
}

/** The same number of calls whatever `callers` is: always so many at once, all waiting for the same few connections. */
function waiting(peer: string, callers: number, open: (setting: Setting) => Promise<Waiting>): Contender {
  return {
    name: `${peer}, ${callers.toLocaleString('en')} callers`,
    async open(setting): Promise<Subject> {
      const { select, close } = await open(setting);
      const { operations } = setting.size;
      const run = async (): Promise<void> => {
        let sum = 0;
        for (let first = 0; first < operations; first += callers) {
          const count = Math.min(callers, operations - first);
          const calls = Array.from({ length: count }, (_, index) => select(accountIdOf(first + index)));
          for (const balance of await Promise.all(calls)) sum += balance;
        }
        expectSum(sum, operations, expectedBalance);
      };
      return { run, close };
    },
  };
}

async function openEngine({ url }: Setting): Promise<Waiting> {
  const [{ createAsyncEngine }, { selectAccount }] = await Promise.all([
    import('nest-async-engine/engine'),
    import('../peers/ours.js'),
  ]);
  const engine = createAsyncEngine(url, {
    poolSize: CONNECTIONS,
    maxOverflow: 0,
    poolTimeout: 60_000,
    poolMaxWaiting: 10_000,
  });
  const autocommit = engine.executionOptions({ isolationLevel: 'AUTOCOMMIT' });
  return {
    select: (id) =>
      autocommit.connect(
        async (connection) => (await connection.execute(selectAccount, { id }).one()).balance,
      ),
    close: () => engine.aclose(),
  };
}

async function openPool({ url }: Setting): Promise<Waiting> {
  const { default: pg } = await import('pg');
  const pool = new pg.Pool({ connectionString: url, max: CONNECTIONS });
  const select: Select = async (id) => {
    const client = await pool.connect();
    try {
      const { rows } = await client.query<Account>({ ...SELECT_ACCOUNT, values: [id] });
      return rows[0]?.balance ?? Number.NaN;
    } finally {
      client.release();
    }
  };
  return { select, close: () => pool.end() };
}

export const waiters: Workload = {
  name: 'waiters',
  title: 'Cost per caller that waits for one of 10 connections',
  contenders: [
    ...[10, 100, 1_000, 10_000].map((callers) => waiting(OURS, callers, openEngine)),
    ...[1_000, 10_000].map((callers) => waiting('pg.Pool', callers, openPool)),
  ],
  base: `${OURS}, 1,000 callers`,
  goals: GOALS.waiters,
  full: { operations: 10_000 },
  smoke: { operations: 200 },
};
