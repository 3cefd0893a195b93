import { createAsyncEngine, EngineError, sql, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomOf, type Random } from '../support/random.js';
import {
  amidst,
  heapGrowth,
  OPERATIONS,
  runWorkers,
  SEED,
  silent,
  transactionOutcome,
  type Outcome,
} from './chaos.js';
import { MortalServer } from './mortal-server.js';

const ACCOUNTS = 8;
const WORKERS = 12;

/** The work changes its mind; nothing of it may be stored. */
class Abandoned extends EngineError {}

let server: MortalServer;
let engine: AsyncEngine;

beforeAll(async () => {
  server = await MortalServer.start();
  await server.query(
    `CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL);
     INSERT INTO account SELECT n, 1000 FROM generate_series(0, ${ACCOUNTS - 1}) AS n;
     CREATE TABLE ledger (id text, source int, target int, amount int)`,
  );
  engine = createAsyncEngine(server.url, {
    poolSize: 4,
    maxOverflow: 4,
    poolTimeout: 10_000,
    statementTimeout: 5_000,
    commitTimeout: 5_000,
    connectTimeout: 5_000,
    logger: silent,
  });
}, 60_000);
afterAll(async () => {
  await engine.aclose();
  await server[Symbol.asyncDispose]();
});

const add = (account: number, amount: number) =>
  engine.execute(sql`UPDATE account SET balance = balance + ${amount} WHERE id = ${account}`, undefined, {
    timeout: 5_000,
  });

async function transfer(id: string, random: Random): Promise<void> {
  const [source, target, amount] = [random(ACCOUNTS), random(ACCOUNTS), 1 + random(50)];
  await engine.execute(sql`INSERT INTO ledger VALUES (${id}, ${source}, ${target}, ${amount})`);
  await engine.transaction(() => add(source, -amount));
  if (random(4) === 0) {
    const failing = engine.transaction(async () => {
      await engine.execute(
        sql`INSERT INTO ledger VALUES (${`${id}-stray`}, ${source}, ${target}, ${amount})`,
      );
      await add(source, -amount);
      throw new Abandoned('the nested part is undone');
    });
    await failing.catch((error: unknown) => {
      if (!(error instanceof Abandoned)) throw error;
    });
  }
  await engine.transaction(() => engine.transaction(() => add(target, amount)));
  if (random(8) === 0) throw new Abandoned('the whole is undone');
}

describe(`transfers with nested parts while everything breaks (seed ${SEED})`, () => {
  it(
    'are stored once or not at all, as their callers were told',
    async () => {
      const growth = await heapGrowth();
      const work = runWorkers(WORKERS, OPERATIONS, (id, random) =>
        engine
          .transaction(() => transfer(id, random), { retry: 3, timeout: 15_000 })
          .then((): Outcome => 'stored', transactionOutcome),
      );
      const deaths = server.deaths(Math.ceil(OPERATIONS / 1_000), randomOf(SEED));
      const outcomes = await amidst([...server.faults(), deaths], work);
      server.proxy.delay(0);
      expect([...outcomes.values()]).toContain('stored');
      expect(engine.pool.checkedOut()).toBe(0);
      await expectTold(outcomes);
      expect(await growth()).toBeLessThan(24);
    },
    30_000 + OPERATIONS * 100,
  );
});

async function expectTold(outcomes: ReadonlyMap<string, Outcome>): Promise<void> {
  const rows = await server.query<{ id: string; source: number; target: number; amount: number }>(
    'SELECT * FROM ledger',
  );
  const stored = rows.map(({ id }) => id);
  expect(stored.filter((id, index) => stored.indexOf(id) !== index)).toEqual([]);
  expect(stored.filter((id) => !outcomes.has(id))).toEqual([]);
  const known = new Set(stored);
  const wrong = [...outcomes].filter(
    ([id, outcome]) => outcome !== 'unknown' && known.has(id) !== (outcome === 'stored'),
  );
  expect(wrong).toEqual([]);
  const accounts = await server.query<{ id: number; balance: number }>('SELECT * FROM account ORDER BY id');
  const sums = accounts.map(({ id }) =>
    rows.reduce(
      (sum, row) => sum - (row.source === id ? row.amount : 0) + (row.target === id ? row.amount : 0),
      1_000,
    ),
  );
  expect(accounts.map(({ balance }) => balance)).toEqual(sums);
}
