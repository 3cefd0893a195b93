import { tracingChannel } from 'node:diagnostics_channel';
import { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  ConnectionLostError,
  DataError,
  createAsyncEngine,
  sql,
  type AsyncConnection,
  type AsyncEngine,
  type AsyncEngineOptions,
  type StatementEvent,
} from 'nest-async-engine/engine';
import { eventually } from '../../support/process/barrier.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';

const POOL = 10;

let database: TestDatabase;
let engine: AsyncEngine;

const quotient = (divisor: number) => sql<{ n: number }>`SELECT 10 / ${divisor}::int AS n`;
const read = (id: number) => sql<{ id: number; name: string }>`SELECT * FROM item WHERE id = ${id}`;
const other = sql<{ n: number }>`SELECT count(*)::int AS n FROM other`;

/** An engine whose pool is full of idle connections, and which knows that these statements are quick. */
async function openEngine(options: AsyncEngineOptions = {}): Promise<void> {
  engine = createAsyncEngine(database.url, { poolSize: POOL, maxOverflow: 0, ...options });
  const { poolSize = POOL } = options;
  const connections = await Promise.all(Array.from({ length: poolSize }, () => engine.connect()));
  await Promise.all(connections.map((connection) => connection.close()));
  for (let run = 0; run < 5; run += 1)
    for (const statement of [quotient(1), read(1), other]) await engine.execute<unknown>(statement);
}

/** How many connections are on loan when this has been issued at once; its answers are awaited. */
async function loansOf(issue: () => Promise<unknown>[]): Promise<number> {
  const answers = issue();
  const loans = engine.pool.checkedOut();
  await Promise.allSettled(answers);
  return loans;
}

const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

/** Keeps the process busy for so many ms. */
function block(duration: number): void {
  const end = performance.now() + duration;
  while (performance.now() < end);
}

/** Ends the one session that a lock holds up. */
const killWaiting = (): Promise<void> =>
  eventually(async () => {
    const killed = await database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    expect(killed).toHaveLength(1);
  });

beforeAll(async () => {
  database = await createDatabase('multiplex');
});

beforeEach(async () => {
  await database.query('DROP TABLE IF EXISTS item, other');
  await database.query('CREATE OR REPLACE VIEW waiting AS SELECT 1 AS n FROM pg_sleep(0.25)');
  await database.query(
    `CREATE TABLE item AS SELECT id, 'item ' || id AS name FROM generate_series(1, 100) AS id`,
  );
  await database.query('CREATE TABLE other (id int)');
});

afterEach(async () => {
  await eventually(() => expect(engine.pool.checkedOut()).toBe(0));
  await engine.aclose();
});

afterAll(() => database.drop());

describe('statements outside of transactions that share a connection', () => {
  beforeEach(() => openEngine());

  it('are many, and each has its own answer', async () => {
    const answers = await Promise.all(times(500, (index) => engine.execute(read((index % 100) + 1)).one()));
    expect(answers).toEqual(
      times(500, (index) => ({ id: (index % 100) + 1, name: `item ${(index % 100) + 1}` })),
    );
  });

  it('take fewer connections than statements, and none beyond the pool', async () => {
    expect(await loansOf(() => times(16, () => engine.execute(other)))).toBeLessThan(8);
    expect(await loansOf(() => times(100, () => engine.execute(other)))).toBeLessThanOrEqual(POOL);
  });

  it('leave in two packets when they are issued in one turn: the first alone, at once, then the others', async () => {
    const written = vi.spyOn(Socket.prototype, 'write');
    const answers = times(16, (index) => engine.execute(read(index + 1)).one());
    const atOnce = written.mock.calls.length;
    const names = (await Promise.all(answers)).map(({ name }) => name);
    const packets = written.mock.calls.length;
    written.mockRestore();
    expect([atOnce, packets]).toEqual([1, 2]);
    expect(names).toEqual(times(16, (index) => `item ${index + 1}`));
  });

  it('are quick ones, though their process was busy when the first answer came', async () => {
    const word = sql`SELECT 'busy' AS word`;
    const answer = engine.execute(word);
    setImmediate(() => block(60));
    await answer;
    expect(await loansOf(() => times(5, () => engine.execute(word)))).toBe(1);
  });

  it('are quick ones, though the first one waited for a connection', async () => {
    const word = sql`SELECT 'waited' AS word`;
    const holders = await Promise.all(times(POOL, () => engine.connect()));
    const answer = engine.execute(word);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await Promise.all(holders.map((holder) => holder.close()));
    await answer;
    expect(await loansOf(() => times(5, () => engine.execute(word)))).toBe(1);
  });

  it('share again as soon as they can when they had to wait for a pool that was taken', async () => {
    const holders = await Promise.all(times(POOL, () => engine.connect()));
    const answers = times(30, () => engine.execute(other));
    const written = vi.spyOn(Socket.prototype, 'write');
    await Promise.all(holders.map((holder) => holder.close()));
    await Promise.all(answers);
    const packets = written.mock.calls.length;
    written.mockRestore();
    expect(packets).toBeLessThan(10);
  });

  it('are not sent a second time when it is their process that was busy', async () => {
    const written = vi.spyOn(Socket.prototype, 'write');
    const answers = times(16, () => engine.execute(other));
    // Behind their packet.
    setImmediate(() => setImmediate(() => block(80)));
    await Promise.all(answers);
    const packets = written.mock.calls.length;
    written.mockRestore();
    expect(packets).toBe(2);
  });

  it('leave the only connection to one that waits for it, however many come', async () => {
    await engine.aclose();
    await openEngine({ poolSize: 1, poolTimeout: 1_000 });
    // Long enough that its answer comes alone, with others behind it.
    const lasting = sql`SELECT count(*)::int AS n FROM item a, item b WHERE a.id + b.id > ${0}`;
    await engine.execute(lasting);
    let isOver = false;
    const readOn = async (): Promise<void> => {
      while (!isOver) await engine.execute(lasting);
    };
    const reading = Promise.all(times(32, readOn));
    const { rowCount } = await engine.execute(sql`UPDATE item SET name = 'x' WHERE id = 1`);
    isOver = true;
    await reading;
    expect(rowCount).toBe(1);
  });

  it('are no more than 64 on one connection', async () => {
    expect(await loansOf(() => times(131, () => engine.execute(other)))).toBeGreaterThanOrEqual(3);
  });

  it('fail alone', async () => {
    const divisors = times(60, (index) => index % 3);
    const answers = await Promise.allSettled(
      divisors.map((divisor) => engine.execute(quotient(divisor)).one()),
    );
    for (const [index, answer] of answers.entries()) {
      const divisor = divisors[index] ?? 0;
      if (divisor === 0) expect(answer).toMatchObject({ status: 'rejected', reason: expect.any(DataError) });
      else expect(answer).toEqual({ status: 'fulfilled', value: { n: 10 / divisor } });
    }
  });

  it('are prepared anew when DDL has changed what they return', async () => {
    await database.query('ALTER TABLE item ADD COLUMN price int DEFAULT 7');
    const answers = await Promise.all(times(40, () => engine.execute(read(1)).one()));
    expect(answers).toEqual(times(40, () => ({ id: 1, name: 'item 1', price: 7 })));
  });

  it('fail each with its own error when their table is gone', async () => {
    await database.query('DROP TABLE other');
    const answers = await Promise.allSettled(times(20, () => engine.execute(other)));
    for (const answer of answers)
      expect(answer).toMatchObject({ status: 'rejected', reason: { sqlState: '42P01' } });
  });

  it('do not wait behind one that a lock holds up', async () => {
    await using locking = await engine.connect();
    await locking.execute(sql`LOCK TABLE item IN ACCESS EXCLUSIVE MODE`);
    const stuck = engine.execute(read(1)).one();
    const behind = times(10, () => engine.execute(other).one());
    expect(await Promise.all(behind)).toEqual(times(10, () => ({ n: 0 })));
    await locking.rollback();
    expect(await stuck).toEqual({ id: 1, name: 'item 1' });
  });

  it('do not wait for a transaction that waits for them', async () => {
    await engine.connect(async (connection) => {
      await connection.execute(sql`LOCK TABLE item IN ACCESS EXCLUSIVE MODE`);
      const stuck = engine.execute(read(1)).one();
      expect(await engine.execute(other).one()).toEqual({ n: 0 });
      await connection.commit();
      expect(await stuck).toHaveProperty('id', 1);
    });
  });

  it('are sent again when they were behind one whose connection was lost', async () => {
    await using locking = await engine.connect();
    await locking.execute(sql`LOCK TABLE item IN ACCESS EXCLUSIVE MODE`);
    const stuck = engine.execute(read(1)).one();
    const behind = times(10, () => engine.execute(other).one());
    void stuck.catch(() => undefined);
    await killWaiting();
    await expect(stuck).rejects.toBeInstanceOf(ConnectionLostError);
    expect(await Promise.all(behind)).toEqual(times(10, () => ({ n: 0 })));
    await locking.rollback();
  });

  it('go on while the pool is replaced under them', async () => {
    const before = times(20, () => engine.execute(other).one());
    await engine.dispose();
    const after = times(20, () => engine.execute(other).one());
    expect(await Promise.all([...before, ...after])).toEqual(times(40, () => ({ n: 0 })));
  });
});

describe('a read that was sent a second time', () => {
  /** Reads behind one that a lock holds up, and what lets all answers come. */
  async function holdUp(
    behind: () => Promise<unknown>[],
  ): Promise<{ reads: Promise<unknown>[]; release: () => Promise<void> }> {
    const locking = await engine.connect();
    await locking.execute(sql`LOCK TABLE item IN ACCESS EXCLUSIVE MODE`);
    const stuck = engine.execute(read(1)).one();
    const reads = [stuck, ...behind()];
    for (const one of reads) one.catch(() => undefined);
    return { reads, release: () => locking.close() };
  }

  it('is answered by its first run where no connection is free for the second', async () => {
    await openEngine({ poolSize: 3, poolTimeout: 150 });
    await using holder = await engine.connect();
    await holder.execute(sql`SELECT 1`);
    const { reads, release } = await holdUp(() => times(4, () => engine.execute(other).one()));
    await eventually(() => expect(engine.pool.waiting()).toBeGreaterThan(0));
    await eventually(() => expect(engine.pool.waiting()).toBe(0));
    await release();
    expect(await Promise.all(reads)).toEqual([{ id: 1, name: 'item 1' }, ...times(4, () => ({ n: 0 }))]);
  });

  it('gives up its place in the line when the first run has answered', async () => {
    await openEngine({ poolSize: 3 });
    await using holder = await engine.connect();
    await holder.execute(sql`SELECT 1`);
    const { reads, release } = await holdUp(() => times(4, () => engine.execute(other).one()));
    await eventually(() => expect(engine.pool.waiting()).toBeGreaterThan(0));
    await release();
    await Promise.all(reads);
    expect(engine.pool.waiting()).toBe(0);
  });

  it.each([
    ['a view', 'SELECT a FROM noting'],
    ['an operator', 'SELECT a +!+ 1 AS z FROM one'],
    ['a cast', 'SELECT a::noted AS z FROM one'],
    ['an overload of a harmless function', 'SELECT note.length(a) AS z FROM one'],
  ])('writes once where %s hides a write', async (_, text) => {
    await database.query('DROP SCHEMA IF EXISTS note CASCADE; CREATE SCHEMA note');
    await database.query(`SET search_path = note, public; CREATE TABLE log (w text); CREATE TABLE one (a int); INSERT INTO one VALUES (1);
      CREATE FUNCTION note.write() RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN INSERT INTO note.log VALUES ('x'); RETURN 1; END $$;
      CREATE FUNCTION note.write(int, int) RETURNS int LANGUAGE sql VOLATILE AS $$ SELECT note.write() $$;
      CREATE FUNCTION note.length(int) RETURNS int LANGUAGE sql VOLATILE AS $$ SELECT note.write() $$;
      CREATE TYPE note.noted AS (a int);
      CREATE FUNCTION note.cast_int(int) RETURNS note.noted LANGUAGE sql VOLATILE AS $$ SELECT ROW(note.write())::note.noted $$;
      CREATE CAST (int AS note.noted) WITH FUNCTION note.cast_int(int);
      CREATE VIEW noting AS SELECT note.write() AS a;
      CREATE OPERATOR note.+!+ (LEFTARG = int, RIGHTARG = int, FUNCTION = note.write); RESET search_path`);
    await openEngine({ settings: { search_path: 'note, public' } });
    for (let run = 0; run < 5; run += 1) await engine.execDriverSql(text);
    await database.query('TRUNCATE note.log');
    const { reads, release } = await holdUp(() => [engine.execDriverSql(text)]);
    await new Promise((resolve) => setTimeout(resolve, 150));
    await release();
    await Promise.all(reads);
    expect(await database.query('SELECT count(*)::int AS n FROM note.log')).toEqual([{ n: 1 }]);
  });
});

describe('a shared connection', () => {
  it('goes back to the pool after a second, so that invalidateAll() reaches it under load', async () => {
    await openEngine({ poolSize: 2 });
    let isOver = false;
    const readOn = async (): Promise<void> => {
      while (!isOver) await engine.execute(other);
    };
    const reading = Promise.all(times(8, readOn));
    const before = await processIds();
    engine.pool.invalidateAll();
    await eventually(async () => {
      const present = await processIds();
      expect(present.filter((id) => before.includes(id))).toEqual([]);
    });
    isOver = true;
    await reading;
  });

  it('serves reads under fake timers', async () => {
    await openEngine();
    vi.useFakeTimers();
    try {
      expect(await Promise.all(times(20, () => engine.execute(other).one()))).toEqual(
        times(20, () => ({ n: 0 })),
      );
    } finally {
      vi.useRealTimers();
    }
  });

  const processIds = async () => (await database.sessions()).map(({ pid }) => pid);
});

describe('a statement outside of transactions has a connection to itself', () => {
  beforeEach(() => openEngine());

  it.each<[what: string, issue: () => Promise<unknown>]>([
    ['the first run of a text', () => engine.execute(sql`SELECT 'new' AS word`)],
    ['one that writes', () => engine.execute(sql`INSERT INTO other VALUES (1)`)],
    ['one that locks rows', () => engine.execute(sql`SELECT id FROM item FOR UPDATE SKIP LOCKED`)],
    ['one that calls a function', () => engine.execute(sql`SELECT pg_backend_pid()`)],
    ['one with a timeout', () => engine.execute(other, undefined, { timeout: 5_000 })],
    ['one with a signal', () => engine.execute(other, undefined, { signal: new AbortController().signal })],
    ['one in a transaction', () => engine.transaction(() => engine.execute(other))],
    [
      'one with settings of its own',
      () => engine.executionOptions({ settings: { 'app.x': '1' } }).execute(other),
    ],
  ])('%s', async (what, issue) => {
    // Twice: what may be shared is shared once it is known.
    if (what !== 'the first run of a text') await Promise.all(times(3, issue));
    expect(await loansOf(() => times(5, issue))).toBe(5);
  });

  it('one that is slow', async () => {
    const slow = sql`SELECT count(*) FROM item a, item b, item c WHERE a.id + b.id + c.id > ${-1}`;
    await engine.execute(slow);
    await engine.execute(slow);
    expect(await loansOf(() => times(5, () => engine.execute(slow)))).toBe(5);
  });

  it('one that has waited in the server while this process had no time to wait', async () => {
    const waiting = sql`SELECT n FROM waiting`;
    let state: 'running' | 'answered' = 'running';
    const isOver = (): boolean => state === 'answered';
    keepBusyUntil(isOver);
    const reading = readUntil(isOver);
    await engine.execute(waiting);
    await engine.execute(waiting);
    state = 'answered';
    await reading;
    expect(await loansOf(() => times(5, () => engine.execute(waiting)))).toBe(5);
  });

  it('one that brings many bytes', async () => {
    const large = sql`SELECT a.name AS one, b.name AS two FROM item a, item b`;
    await engine.execute(large);
    await engine.execute(large);
    expect(await loansOf(() => times(5, () => engine.execute(large)))).toBe(5);
  });

  async function readUntil(isOver: () => boolean): Promise<void> {
    while (!isOver()) await engine.execute(other);
  }

  /** The event loop goes round without ever waiting. */
  function keepBusyUntil(isOver: () => boolean): void {
    block(1);
    if (!isOver()) setImmediate(() => keepBusyUntil(isOver));
  }
});

describe('no connection is shared', () => {
  it.each([
    ['with multiplex: false', { multiplex: false }],
    ['with pgbouncer: true', { pgbouncer: true }],
  ])('%s', async (_what, options) => {
    await openEngine(options);
    expect(await loansOf(() => times(8, () => engine.execute(other)))).toBe(8);
  });
});

describe('reads that share a connection while a tracing channel hears of them', () => {
  const ends: StatementEvent<AsyncConnection>[] = [];
  const channel = tracingChannel('nest-async-engine:statement').asyncEnd;
  const hear = (event: unknown): void => void ends.push(event as StatementEvent<AsyncConnection>);

  beforeEach(async () => {
    await openEngine();
    ends.length = 0;
    channel.subscribe(hear);
  });
  afterEach(() => {
    channel.unsubscribe(hear);
  });

  it('end once each, also where their connection is lost: the first one failed, the others answered', async () => {
    await using locking = await engine.connect();
    await locking.execute(sql`LOCK TABLE item IN ACCESS EXCLUSIVE MODE`);
    ends.length = 0;
    const stuck = engine.execute(read(1)).one();
    const behind = times(10, () => engine.execute(other).one());
    void stuck.catch(() => undefined);
    await killWaiting();
    await expect(stuck).rejects.toBeInstanceOf(ConnectionLostError);
    await Promise.all(behind);
    const failed = ends.filter(({ error }) => error !== undefined);
    expect([new Set(ends).size, ends.length, failed.length]).toEqual([11, 11, 1]);
    expect(ends.every(({ duration, processId }) => (duration ?? 0) > 0 && processId !== undefined)).toBe(
      true,
    );
    await locking.rollback();
  });

  it('fail with the error of the second run, where the first was lost, and say how long it took', async () => {
    await using locking = await engine.connect();
    await locking.execute(sql`LOCK TABLE item IN ACCESS EXCLUSIVE MODE`);
    ends.length = 0;
    const stuck = engine.execute(read(1)).one();
    const behind = engine.execute(other).one();
    for (const one of [stuck, behind]) one.catch(() => undefined);
    await database.query('DROP TABLE other');
    await killWaiting();
    await expect(stuck).rejects.toBeInstanceOf(ConnectionLostError);
    await expect(behind).rejects.toHaveProperty('sqlState', '42P01');
    expect(ends.map(({ error }) => error)).toEqual([
      expect.any(ConnectionLostError),
      expect.objectContaining({ sqlState: '42P01' }),
    ]);
    expect(ends.every(({ duration }) => (duration ?? 0) > 0)).toBe(true);
    await locking.rollback();
  });
});

describe('reads that share a connection while they are observed', () => {
  /** What is told of statements, in its order. */
  let told: [name: string, id: string][];
  const NAMES = ['beforeExecute', 'beforeCursorExecute', 'afterCursorExecute', 'afterExecute'] as const;

  beforeEach(async () => {
    await openEngine();
    told = [];
    for (const name of NAMES) engine.on(name, ({ id }: { id: string }) => void told.push([name, id]));
    engine.on('handleError', (event) => void told.push(['handleError', String(event.id)]));
  });

  /** How often each of a number of statements was told of, by event. */
  const counts = (): Record<string, number> => {
    const names = told.map(([name]) => name);
    expect(new Set(told.map(([name, id]) => `${name} ${id}`)).size).toBe(told.length);
    return Object.fromEntries(
      [...new Set(names)].map((name) => [name, names.filter((each) => each === name).length]),
    );
  };

  it('are told of once each, and have each its own answer', async () => {
    let answers: unknown[] = [];
    const loans = await loansOf(() => {
      const issued = times(40, (index) => engine.execute(read(index + 1)).one());
      void Promise.all(issued).then((rows) => (answers = rows));
      return issued;
    });
    expect(loans).toBeLessThan(POOL);
    await eventually(() => expect(answers).toHaveLength(40));
    expect(answers).toEqual(times(40, (index) => ({ id: index + 1, name: `item ${index + 1}` })));
    expect(counts()).toEqual(Object.fromEntries(NAMES.map((name) => [name, 40])));
  });

  it('say each for itself that they have failed', async () => {
    await Promise.allSettled(times(20, (index) => engine.execute(quotient(index % 2))));
    expect(counts()).toMatchObject({ beforeExecute: 20, afterExecute: 10, handleError: 10 });
  });

  it('share with a comment of their own, too', async () => {
    let count = 0;
    engine.on('beforeCursorExecute', ({ sql: text }) => ({ sql: `${text} /*run='${(count += 1)}'*/` }));
    expect(await loansOf(() => times(16, () => engine.execute(other)))).toBeLessThan(8);
  });

  it('are told of once when they are sent a second time behind one that a lock holds up', async () => {
    await using locking = await engine.connect();
    await locking.execute(sql`LOCK TABLE item IN ACCESS EXCLUSIVE MODE`);
    told = [];
    const stuck = engine.execute(read(1)).one();
    const behind = times(10, () => engine.execute(other).one());
    expect(await Promise.all(behind)).toEqual(times(10, () => ({ n: 0 })));
    expect(counts()).toEqual({
      beforeExecute: 11,
      beforeCursorExecute: 11,
      afterCursorExecute: 10,
      afterExecute: 10,
    });
    await locking.rollback();
    await stuck;
  });

  it('have one failure, of the first, when their connection is lost', async () => {
    await using locking = await engine.connect();
    await locking.execute(sql`LOCK TABLE item IN ACCESS EXCLUSIVE MODE`);
    told = [];
    const failures: unknown[] = [];
    engine.on('handleError', (event) => void failures.push(event.error));
    const stuck = engine.execute(read(1)).one();
    const behind = times(10, () => engine.execute(other).one());
    void stuck.catch(() => undefined);
    await killWaiting();
    await expect(stuck).rejects.toBeInstanceOf(ConnectionLostError);
    expect(await Promise.all(behind)).toEqual(times(10, () => ({ n: 0 })));
    expect(failures).toEqual([expect.any(ConnectionLostError)]);
    expect(counts()).toMatchObject({ beforeCursorExecute: 11, afterExecute: 10, handleError: 1 });
    await locking.rollback();
  });

  it('say nothing of a first run that fails when the second has answered', async () => {
    await using locking = await engine.connect();
    await locking.execute(sql`LOCK TABLE item IN ACCESS EXCLUSIVE MODE`);
    told = [];
    const stuck = engine.execute(read(1)).one();
    await Promise.all(times(10, () => engine.execute(other).one()));
    await database.query('DROP TABLE other');
    await locking.close();
    await stuck;
    await eventually(() => expect(engine.pool.checkedOut()).toBe(0));
    expect(counts()).toMatchObject({ beforeCursorExecute: 11, afterExecute: 11 });
    expect(counts()).not.toHaveProperty('handleError');
  });

  it('leave the shared connection when a listener makes a write of one', async () => {
    let isFirst = true;
    engine.on('beforeCursorExecute', () => {
      if (!isFirst) return undefined;
      isFirst = false;
      return { sql: 'INSERT INTO other VALUES (1) RETURNING id AS n', parameters: [] };
    });
    const answers = await Promise.all(times(3, () => engine.execute(other).one()));
    expect(answers[0]).toEqual({ n: 1 });
    expect(await engine.execute(other).one()).toEqual({ n: 1 });
    expect(counts()).toMatchObject({ beforeCursorExecute: 4, afterExecute: 4 });
  });

  it('keep no connection when a listener throws', async () => {
    engine.on('beforeCursorExecute', () => {
      throw new RangeError('refused');
    });
    const answers = await Promise.allSettled(times(5, () => engine.execute(other)));
    expect(answers.map((answer) => answer.status === 'rejected' && String(answer.reason))).toEqual(
      times(5, () => 'RangeError: refused'),
    );
    expect(engine.pool.checkedOut()).toBe(0);
  });

  it.each(['beforeCursorExecute', 'afterCursorExecute'] as const)(
    'end their session where a listener of %s is aborted for one of them, and the others have their answers',
    async (name) => {
      const ended: unknown[] = [];
      engine.on('invalidate', ({ cause }) => void ended.push(cause));
      const abort = new DOMException('stopped', 'AbortError');
      engine.once(name, () => {
        throw abort;
      });
      const answers = await Promise.allSettled(times(5, () => engine.execute(other).scalar()));
      expect(answers.filter(({ status }) => status === 'rejected')).toEqual([
        { status: 'rejected', reason: abort },
      ]);
      expect(ended).toEqual([abort]);
      expect(engine.pool.checkedOut()).toBe(0);
    },
  );
});
