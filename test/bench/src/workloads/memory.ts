import { setImmediate as turn } from 'node:timers/promises';
import type { AsyncEngine } from 'nest-async-engine/engine';
import type pgModule from 'pg';
import { counting, type Amounts, type Counter } from '../counting.js';
import { GOALS } from '../goals.js';
import { OURS } from '../peers/index.js';
import { retainedBy } from '../retained.js';
import type { Contender, Workload } from '../workload.js';

/** Rows of ten columns, more than any client keeps of a stream. */
const WIDE = `SELECT w.* FROM wide w, generate_series(1, 50)`;
const SELECT = 'SELECT id, name, balance FROM accounts WHERE id = 7';
/** Of how many connections, and of how many streams. */
const CONNECTIONS = 60;
const STREAMS = 20;
const LONG = 600_000;

/** The first time compiles what is measured, too. */
function secondOf(name: string, measure: () => Promise<number>): Counter {
  const count = async (): Promise<Amounts> => {
    await measure();
    return { [name]: await measure() };
  };
  return { count, close: async () => undefined };
}

/** An engine with so many connections at most, in a process of its own. */
function ofEngine(
  thing: string,
  connections: number,
  measure: (engine: AsyncEngine, count: number) => Promise<number>,
): Contender {
  const name = `${OURS}: ${thing}`;
  return counting(name, async ({ url, size: { operations } }) => {
    const { createAsyncEngine } = await import('nest-async-engine/engine');
    const options = { poolSize: connections, maxOverflow: 0, poolTimeout: LONG, poolMaxWaiting: LONG };
    const once = async (): Promise<number> => {
      const engine = createAsyncEngine(url, options);
      await engine.execDriverSql(SELECT);
      const each = await measure(engine, operations);
      await engine.aclose();
      return each;
    };
    return secondOf(name, once);
  });
}

function ofPool(
  thing: string,
  connections: number,
  measure: (pool: pgModule.Pool, count: number) => Promise<number>,
): Contender {
  const name = `pg.Pool: ${thing}`;
  return counting(name, async ({ url, size: { operations } }) => {
    const { default: pg } = await import('pg');
    const once = async (): Promise<number> => {
      const pool = new pg.Pool({ connectionString: url, max: connections, idleTimeoutMillis: LONG });
      await pool.query(SELECT);
      const each = await measure(pool, operations);
      await pool.end();
      return each;
    };
    return secondOf(name, once);
  });
}

/** So many calls behind the only connection, which is held meanwhile. */
async function whileHeld(
  count: number,
  hold: () => Promise<() => Promise<void>>,
  call: () => Promise<unknown>,
): Promise<number> {
  const giveBack = await hold();
  let calls: Promise<unknown>[] = [];
  const each = await retainedBy(count, async () => {
    calls = Array.from({ length: count }, call);
    await turn();
  });
  await giveBack();
  await Promise.all(calls);
  return each;
}

const holdEngine = (engine: AsyncEngine) => async () => {
  const connection = await engine.connect();
  await connection.execDriverSql(SELECT);
  return () => connection.close();
};

const holdPool = (pool: pgModule.Pool) => async () => {
  const client = await pool.connect();
  return async () => client.release();
};

const connections: readonly Contender[] = [
  ofEngine('connection', CONNECTIONS, async (engine) => {
    // Asked for at once, so that no two share one.
    const open = async (): Promise<void> => {
      const all = await Promise.all(Array.from({ length: CONNECTIONS }, () => engine.connect()));
      for (const connection of all) await connection.execDriverSql(SELECT);
      await Promise.all(all.map((connection) => connection.close()));
    };
    return await retainedBy(CONNECTIONS - 1, open);
  }),
  ofPool('connection', CONNECTIONS, async (pool) => {
    const open = async (): Promise<void> => {
      const all = await Promise.all(Array.from({ length: CONNECTIONS }, () => pool.connect()));
      for (const client of all) await client.query(SELECT);
      for (const client of all) client.release();
    };
    return await retainedBy(CONNECTIONS - 1, open);
  }),
];

const waiting: readonly Contender[] = [
  ofEngine('statement that waits', 1, (engine, count) =>
    whileHeld(count, holdEngine(engine), () => engine.execDriverSql(SELECT).all()),
  ),
  ofEngine('transaction that waits', 1, (engine, count) =>
    whileHeld(count, holdEngine(engine), () => engine.transaction(() => engine.execDriverSql(SELECT).all())),
  ),
  ofEngine('one of 10,000 callers that wait', 1, (engine, count) =>
    whileHeld(count, holdEngine(engine), () =>
      engine.connect((connection) => connection.execDriverSql(SELECT).all()),
    ),
  ),
  ofPool('statement that waits', 1, (pool, count) =>
    whileHeld(count, holdPool(pool), () => pool.query(SELECT)),
  ),
  ofPool('transaction that waits', 1, (pool, count) =>
    whileHeld(count, holdPool(pool), async () => {
      const client = await pool.connect();
      try {
        await client.query('BEGIN');
        await client.query(SELECT);
        await client.query('COMMIT');
      } finally {
        client.release();
      }
    }),
  ),
];

const streams: readonly Contender[] = [
  ofEngine('open stream of wide rows', STREAMS, async (engine) => {
    const { text } = await import('nest-async-engine/engine');
    const statement = text(WIDE);
    const iterators: AsyncIterator<unknown>[] = [];
    const each = await retainedBy(STREAMS, async () => {
      for (let left = STREAMS; left > 0; left -= 1) {
        const iterator = engine.stream(statement)[Symbol.asyncIterator]();
        iterators.push(iterator);
        await iterator.next();
      }
    });
    for (const iterator of iterators) await iterator.return?.();
    return each;
  }),
  ofPool('open stream of wide rows, 1,000 read by pg-cursor', STREAMS, async (pool) => {
    const { default: Cursor } = await import('pg-cursor');
    const clients: pgModule.PoolClient[] = [];
    const kept: unknown[] = [];
    const each = await retainedBy(STREAMS, async () => {
      for (let left = STREAMS; left > 0; left -= 1) {
        const client = await pool.connect();
        clients.push(client);
        kept.push(await client.query(new Cursor(WIDE)).read(1_000));
      }
    });
    kept.length = 0;
    for (const client of clients) client.release(true);
    return each;
  }),
];

function inFlight(name: string, isBesideDatabase: boolean): Contender {
  return counting(name, async ({ url, size: { operations } }) => {
    const [{ Gate, GatedModule }, { openInjected }] = await Promise.all([
      import('../nest/gated.module.js'),
      import('../nest/injected.js'),
    ]);
    const once = async (): Promise<number> => {
      const gate = new Gate();
      const { ask, close } = await openInjected(GatedModule.of(gate, isBesideDatabase ? url : undefined));
      let requests: Promise<string>[] = [];
      const each = await retainedBy(operations, async () => {
        requests = Array.from({ length: operations }, () => ask('/ping'));
        while (gate.waiting < operations) await turn();
      });
      gate.open();
      await Promise.all(requests);
      await close();
      return each;
    };
    return secondOf(name, once);
  });
}

export const memory: Workload = {
  name: 'memory',
  title: 'Memory that each needs',
  contenders: [
    ...connections,
    ...waiting,
    ...streams,
    inFlight('NestJS request in flight', false),
    inFlight('NestJS request in flight, with the module', true),
  ],
  base: 'pg.Pool: connection',
  goals: GOALS.memory,
  unit: 'KiB',
  full: { operations: 10_000, rounds: 1 },
  smoke: { operations: 50 },
};
