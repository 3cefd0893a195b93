import { createAsyncEngine, sql, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomOf, type Random } from '../support/random.js';
import { amidst, OPERATIONS, runWorkers, SEED, silent, transactionOutcome, type Outcome } from './chaos.js';
import { MortalServer } from './mortal-server.js';

const LISTS = 6;
const WORKERS = 10;

/** What one transaction read and wrote, as its own code saw it. */
interface Transaction {
  readonly reads: { readonly list: number; readonly items: readonly string[] }[];
  readonly appends: { readonly list: number; readonly item: string }[];
}

let server: MortalServer;
let engine: AsyncEngine;

beforeAll(async () => {
  server = await MortalServer.start();
  await server.query(
    `CREATE TABLE list (id int PRIMARY KEY, items text[] NOT NULL);
     INSERT INTO list SELECT n, '{}' FROM generate_series(0, ${LISTS - 1}) AS n`,
  );
  engine = createAsyncEngine(server.url, {
    poolSize: 4,
    maxOverflow: 4,
    poolTimeout: 10_000,
    commitTimeout: 5_000,
    connectTimeout: 5_000,
    logger: silent,
  });
}, 60_000);
afterAll(async () => {
  await engine.aclose();
  await server[Symbol.asyncDispose]();
});

async function someSteps(id: string, random: Random): Promise<Transaction> {
  const done: Transaction = { reads: [], appends: [] };
  for (let step = 0; step <= random(4); step += 1) {
    const list = random(LISTS);
    if (random(2) === 0) {
      const items = await engine
        .execute<{ items: string[] }>(sql`SELECT items FROM list WHERE id = ${list}`)
        .scalarOne<string[]>();
      done.reads.push({ list, items });
    } else {
      const item = `${id}.${step}`;
      await engine.transaction(() =>
        engine.execute(sql`UPDATE list SET items = items || ${item}::text WHERE id = ${list}`),
      );
      done.appends.push({ list, item });
    }
  }
  return done;
}

describe(`appends to lists at SERIALIZABLE while everything breaks (seed ${SEED})`, () => {
  it(
    'are seen as if one transaction had come after the other',
    async () => {
      const transactions = new Map<string, Transaction>();
      const work = runWorkers(WORKERS, OPERATIONS, (id, random) =>
        engine
          .transaction(() => someSteps(id, random), {
            isolationLevel: 'SERIALIZABLE',
            retry: 4,
            timeout: 15_000,
          })
          .then((done): Outcome => {
            transactions.set(id, done);
            return 'stored';
          }, transactionOutcome),
      );
      const deaths = server.deaths(Math.ceil(OPERATIONS / 1_000), randomOf(SEED));
      const outcomes = await amidst([...server.faults(), deaths], work);
      expect(engine.pool.checkedOut()).toBe(0);
      expect([...outcomes.values()]).toContain('stored');
      const rows = await server.query<{ id: number; items: string[] }>('SELECT * FROM list ORDER BY id');
      const lists = rows.map(({ items }) => items);
      expectStored(lists, outcomes, transactions);
      expect(cycleIn(dependencies(lists, transactions))).toBeUndefined();
    },
    30_000 + OPERATIONS * 100,
  );

  it('would see a cycle', () => {
    const one: Transaction = { reads: [{ list: 0, items: [] }], appends: [{ list: 1, item: 'a.0' }] };
    const other: Transaction = { reads: [{ list: 1, items: [] }], appends: [{ list: 0, item: 'b.0' }] };
    const transactions = new Map([
      ['a', one],
      ['b', other],
    ]);
    expect(cycleIn(dependencies([['b.0'], ['a.0']], transactions))).toEqual(['a', 'b', 'a']);
  });
});

const writerOf = (item: string): string => item.slice(0, item.indexOf('.'));

function expectStored(
  lists: readonly (readonly string[])[],
  outcomes: ReadonlyMap<string, Outcome>,
  transactions: ReadonlyMap<string, Transaction>,
): void {
  const all = lists.flat();
  expect(all.filter((item, index) => all.indexOf(item) !== index)).toEqual([]);
  expect(all.filter((item) => (outcomes.get(writerOf(item)) ?? 'undone') === 'undone')).toEqual([]);
  for (const { reads, appends } of transactions.values()) {
    for (const { list, item } of appends) expect(lists[list]).toContain(item);
    for (const { list, items } of reads) expect(items).toEqual(lists[list]?.slice(0, items.length));
  }
}

/** Who must have come before whom: writers in the order of the lists, readers between what they saw and what they did not. */
function dependencies(
  lists: readonly (readonly string[])[],
  transactions: ReadonlyMap<string, Transaction>,
): ReadonlyMap<string, ReadonlySet<string>> {
  const graph = new Map<string, Set<string>>();
  const before = (first: string | undefined, second: string | undefined): void => {
    if (first === undefined || second === undefined || first === second) return;
    graph.set(first, (graph.get(first) ?? new Set()).add(second));
  };
  for (const items of lists) {
    const writers = items.map(writerOf);
    writers.forEach((writer, index) => before(writer, writers[index + 1]));
  }
  for (const [id, { reads }] of transactions) {
    for (const { list, items } of reads) {
      const writers = lists[list]?.map(writerOf) ?? [];
      before(writers[items.length - 1], id);
      before(id, writers[items.length]);
    }
  }
  return graph;
}

function cycleIn(graph: ReadonlyMap<string, ReadonlySet<string>>): readonly string[] | undefined {
  const finished = new Set<string>();
  const visit = (node: string, trail: readonly string[]): readonly string[] | undefined => {
    const start = trail.indexOf(node);
    if (start >= 0) return [...trail.slice(start), node];
    if (finished.has(node)) return undefined;
    for (const next of graph.get(node) ?? []) {
      const cycle = visit(next, [...trail, node]);
      if (cycle !== undefined) return cycle;
    }
    finished.add(node);
    return undefined;
  };
  for (const node of graph.keys()) {
    const cycle = visit(node, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}
