import { tracingChannel } from 'node:diagnostics_channel';
import { createAsyncEngine, sql, text } from 'nest-async-engine/engine';
import type {
  AsyncConnection,
  AsyncEngine,
  StatementEvent,
  TransactionEvent,
} from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { failureOf } from '../../support/items.js';
import { startFaultyProxy, type FaultyProxy } from '../../support/server/faulty-proxy.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';

let database: TestDatabase;
let proxy: FaultyProxy;
let engine: AsyncEngine;

beforeAll(async () => {
  database = await createDatabase('flights');
  await database.query('CREATE TABLE item (id serial PRIMARY KEY, name text NOT NULL UNIQUE)');
});
beforeEach(async () => {
  await database.query('TRUNCATE item');
  proxy = await startFaultyProxy(database.url);
  engine = createAsyncEngine(proxy.url, { poolSize: 4, maxOverflow: 0 });
  const connections = await Promise.all([1, 2, 3, 4].map(() => engine.connect()));
  await Promise.all(connections.map((connection) => connection.close()));
});
afterEach(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.aclose();
  await proxy.close();
});
afterAll(() => database.drop());

const insert = text('INSERT INTO item (name) VALUES (:name)');
const rows = text('SELECT g FROM generate_series(1, 9) g');
const read = (value: number) => sql<{ value: number }>`SELECT ${value}::int AS value`;
const save = () => engine.execute(insert, { name: String(Math.random()) });
const failingChild = () =>
  engine.transaction(async () => {
    await save();
    throw new Error('undone');
  });

/** What the events of statements and transactions say while `work` runs, those of one packet counted once. */
async function told(work: () => Promise<unknown>): Promise<number> {
  let roundTrips = 0;
  const flights = new Set<string>();
  const statementEnded = (event: unknown): void => {
    const { roundTrips: own, processId, flight } = event as StatementEvent<AsyncConnection>;
    const key = `${processId} ${flight}`;
    roundTrips += flights.has(key) ? own - 1 : own;
    if (flight !== undefined) flights.add(key);
  };
  const transactionEnded = (event: unknown): void =>
    void (roundTrips += (event as TransactionEvent<AsyncConnection>).roundTrips);
  const statements = tracingChannel('nest-async-engine:statement');
  const transactions = tracingChannel('nest-async-engine:transaction');
  statements.asyncEnd.subscribe(statementEnded);
  transactions.asyncEnd.subscribe(transactionEnded);
  try {
    await work();
  } finally {
    statements.asyncEnd.unsubscribe(statementEnded);
    transactions.asyncEnd.unsubscribe(transactionEnded);
  }
  return roundTrips;
}

describe('the events of statements and transactions say how often the server was waited for', () => {
  it.each<[name: string, expected: number, work: () => Promise<unknown>]>([
    ['a statement', 1, save],
    ['a statement that fails', 1, () => failureOf(engine.execute(text('SELECT 1 / 0')))],
    ['a statement that is refused before it leaves', 0, () => failureOf(engine.execute(text('SELECT :a')))],
    ['a transaction of two', 3, () => engine.transaction(() => save().then(save))],
    ['a transaction in which nothing runs', 0, () => engine.transaction(() => undefined)],
    ['a transaction that is rolled back', 2, () => failureOf(failingChild())],
    [
      'two statements at once in a transaction',
      3,
      () => engine.transaction(() => Promise.all([save(), save()])),
    ],
    [
      'a savepoint that is kept',
      3,
      () => engine.transaction(() => save().then(() => engine.transaction(save))),
    ],
    [
      'a savepoint that is undone',
      4,
      () => engine.transaction(() => save().then(() => failureOf(failingChild()))),
    ],
    [
      'an executemany',
      1,
      () => engine.execute(insert, [{ name: String(Math.random()) }, { name: String(Math.random()) }]),
    ],
    ['a batch', 1, () => engine.batch([read(1), read(2), read(3)])],
    [
      'a script of a lent client: its own BEGIN, the rest of it and its end',
      3,
      () => engine.connect((own) => own.run((client) => client.query('BEGIN; SELECT 1; COMMIT'))),
    ],
  ])('of %s: %i', async (_, expected, work) => {
    for (let run = 0; run < 5; run += 1) await work();
    proxy.reset();
    expect([await told(work), proxy.roundTrips]).toEqual([expected, expected]);
  });

  it('of reads that share a connection: the first leaves at once, the others in one packet', async () => {
    const work = () => Promise.all([1, 2, 3, 4, 5].map((value) => engine.execute(read(value))));
    for (let run = 0; run < 5; run += 1) await work();
    expect(await told(work)).toBe(2);
  });

  it('of a stream up to its last row: the flights of its batches, and its COMMIT', async () => {
    const work = () => engine.stream(rows, undefined, { yieldPer: 2 }).all();
    await work();
    proxy.reset();
    const count = await told(work);
    // Its portal is closed after it is over.
    expect(proxy.roundTrips - count).toBeLessThanOrEqual(1);
    expect(count).toBeGreaterThanOrEqual(6);
  });
});
