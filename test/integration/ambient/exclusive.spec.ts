import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  ConnectionLostError,
  createAsyncEngine,
  IllegalStateError,
  NotSupportedError,
  sql,
  TransactionTimeoutError,
} from 'nest-async-engine/engine';
import type { AsyncEngine, AsyncEngineOptions, ExclusiveOptions } from 'nest-async-engine/engine';
import { failureOf, insert, ItemDatabase } from '../../support/items.js';
import { eventually, Latch } from '../../support/process/barrier.js';

let items: ItemDatabase;
beforeAll(async () => {
  items = await ItemDatabase.open('exclusive');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const roomy: AsyncEngineOptions = { poolSize: 3, maxOverflow: 0 };

/** Work that has begun and ends when it is told to. */
function heldBy(engine: AsyncEngine, options?: ExclusiveOptions, name = 'job') {
  const [begun, end] = [new Latch<AbortSignal>(), new Latch()];
  const outcome = engine.exclusive(
    name,
    async (signal) => {
      begun.open(signal);
      await end.opened;
      return 'done';
    },
    options,
  );
  outcome.catch(() => undefined);
  return { begun: begun.opened, end: end.open, outcome };
}

const lockWaiters = (): Promise<number> =>
  eventually(async () => {
    const rows = await items.database.query(
      `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`,
    );
    expect(rows.length).toBeGreaterThan(0);
    return rows.length;
  });

/** Ends the session that holds an advisory lock. */
const endHolder = (): Promise<unknown> =>
  items.database.query(
    `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted`,
  );

describe.each(['transaction', 'session'] as const)('scope %s', (scope) => {
  it('runs in one of two engines, and in the other one when the first has ended', async () => {
    const [a, b] = [items.engine(roomy), items.engine(roomy)];
    const first = heldBy(a, { scope });
    await first.begun;
    expect(await b.exclusive('job', () => 'b', { scope })).toEqual({ ran: false });
    expect(await b.exclusive('another job', () => 'b', { scope })).toEqual({ ran: true, value: 'b' });
    first.end();
    expect(await first.outcome).toEqual({ ran: true, value: 'done' });
    expect(await b.exclusive('job', () => 'b', { scope })).toEqual({ ran: true, value: 'b' });
  });

  it('runs in one of many that ask at once over one pool', async () => {
    const engine = items.engine({ poolSize: 4, maxOverflow: 0 });
    const open = new Latch();
    const asked = Array.from({ length: 4 }, () => engine.exclusive('job', () => open.opened, { scope }));
    const skipped = new Latch();
    let left = 3;
    for (const one of asked) void one.then(({ ran }) => !ran && (left -= 1) === 0 && skipped.open());
    await skipped.opened;
    open.open();
    expect((await Promise.all(asked)).filter(({ ran }) => ran)).toHaveLength(1);
  });

  it('with wait, runs when the other one has ended', async () => {
    const [a, b] = [items.engine(roomy), items.engine({ ...roomy, lockTimeout: 1 })];
    const first = heldBy(a, { scope });
    await first.begun;
    const second = b.exclusive('job', () => b.scalar(sql`SHOW lock_timeout`), { scope, wait: true });
    await lockWaiters();
    first.end();
    // The limit of the wait is not the limit of the work.
    expect(await second).toEqual({ ran: true, value: '1ms' });
    await first.outcome;
  });

  it('with wait in ms, does not run when that has passed, and undoes nothing around it', async () => {
    const [a, b] = [items.engine(roomy), items.engine(roomy)];
    const first = heldBy(a, { scope });
    await first.begun;
    await b.transaction(async () => {
      await b.execute(insert('kept'));
      expect(await b.exclusive('job', () => b.execute(insert('no')), { scope, wait: 5 })).toEqual({
        ran: false,
      });
      expect(await b.exclusive('job', () => b.execute(insert('no')), { scope, wait: 0 })).toEqual({
        ran: false,
      });
    });
    first.end();
    await first.outcome;
    expect(await items.names()).toEqual(['kept']);
  });

  it('runs inside work of the same name and scope, of the other scope, and in requires-new', async () => {
    const engine = items.engine(roomy);
    const inner = (other: ExclusiveOptions) => engine.exclusive('job', () => 'inner', other);
    const work = async () => [
      await inner({ scope: 'transaction' }),
      await inner({ scope: 'session' }),
      await engine.transaction(() => inner({ wait: true }), { propagation: 'requires-new' }),
    ];
    const expected = { ran: true, value: 'inner' };
    expect(await engine.exclusive('job', work, { scope })).toEqual({
      ran: true,
      value: [expected, expected, expected],
    });
  });

  it('does not run in what its own work has left running, when another one has the lock', async () => {
    const [a, b] = [items.engine(roomy), items.engine(roomy)];
    const later = new Latch();
    const left = await a.exclusive(
      'job',
      () => ({ late: later.opened.then(() => a.exclusive('job', () => 'late', { scope: 'session' })) }),
      { scope },
    );
    const other = heldBy(b, { scope });
    await other.begun;
    later.open();
    expect(await left.value?.late).toEqual({ ran: false });
    other.end();
    await other.outcome;
  });

  it('holds an inner name beside the outer one', async () => {
    const [a, b] = [items.engine(roomy), items.engine(roomy)];
    const begun = new Latch();
    const end = new Latch();
    const nested = a.exclusive(
      'outer',
      () => a.exclusive('inner', async () => (begun.open(), await end.opened), { scope }),
      { scope },
    );
    await begun.opened;
    for (const name of ['outer', 'inner'])
      expect(await b.exclusive(name, () => 'b', { scope })).toEqual({ ran: false });
    end.open();
    expect(await nested).toEqual({ ran: true, value: { ran: true, value: undefined } });
  });

  it('gives the error of its work, and the lock back', async () => {
    const [a, b] = [items.engine(roomy), items.engine(roomy)];
    const error = new Error('on purpose');
    expect(await failureOf(a.exclusive('job', () => Promise.reject(error), { scope }))).toBe(error);
    expect(await b.exclusive('job', () => 'b', { scope })).toEqual({ ran: true, value: 'b' });
  });

  it('aborts its signal when the session is lost, after which another engine runs it', async () => {
    const [a, b] = [items.engine(roomy), items.engine(roomy)];
    const first = heldBy(a, { scope });
    const signal = await first.begun;
    const aborted = once(signal, 'abort');
    await endHolder();
    await aborted;
    expect(signal.reason).toBeInstanceOf(ConnectionLostError);
    expect(await b.exclusive('job', () => 'b', { scope })).toEqual({ ran: true, value: 'b' });
    first.end();
    expect(await failureOf(first.outcome)).toBe(signal.reason);
  });

  it('ends its wait for the lock with its signal, and its timeout, and leaves nothing behind', async () => {
    const [a, b] = [items.engine(roomy), items.engine(roomy)];
    const first = heldBy(a, { scope });
    await first.begun;
    const controller = new AbortController();
    const waiting = b.exclusive('job', () => 'b', { scope, wait: true, signal: controller.signal });
    waiting.catch(() => undefined);
    await lockWaiters();
    controller.abort();
    await failureOf(waiting);
    for (const timeout of [0, 20]) {
      const timed = b.exclusive('job', () => 'b', { scope, wait: true, timeout });
      expect(await failureOf(timed)).toBeInstanceOf(TransactionTimeoutError);
    }
    expect(b.pool.checkedOut()).toBe(0);
    first.end();
    await first.outcome;
    expect(await b.exclusive('job', () => 'b', { scope })).toEqual({ ran: true, value: 'b' });
  });

  it('aborts the signal of its work with the given one, and when its timeout has passed', async () => {
    const engine = items.engine(roomy);
    const controller = new AbortController();
    const first = heldBy(engine, { scope, signal: controller.signal });
    const signal = await first.begun;
    controller.abort(new Error('enough'));
    expect(signal.reason).toBe(controller.signal.reason);
    first.end();
    expect(await first.outcome).toEqual({ ran: true, value: 'done' });
    const timed = engine.exclusive(
      'job',
      async (ending) => {
        await once(ending, 'abort');
        throw ending.reason;
      },
      { scope, timeout: 20 },
    );
    expect(await failureOf(timed)).toBeInstanceOf(TransactionTimeoutError);
  });

  it('refuses wrong names, works and options before anything is taken', async () => {
    const engine = items.engine(roomy);
    const refused = [
      engine.exclusive('', () => 1, { scope }),
      engine.exclusive('a\0b', () => 1, { scope }),
      engine.exclusive('job', 5 as never, { scope }),
      engine.exclusive('job', () => 1, { scope, wait: -1 }),
      engine.exclusive('job', () => 1, { scope, waits: true } as never),
    ];
    for (const one of refused) expect(await failureOf(one)).toBeInstanceOf(ArgumentError);
    expect(engine.pool.checkedIn()).toBe(0);
  });
});

it('a transaction holds its lock until its outer one has stored what the work did', async () => {
  const [a, b] = [items.engine(roomy), items.engine(roomy)];
  await a.transaction(async () => {
    await a.exclusive('job', () => a.execute(insert('one')));
    expect(await b.exclusive('job', () => 'b')).toEqual({ ran: false });
  });
  expect(await b.exclusive('job', () => items.names())).toEqual({ ran: true, value: ['one'] });
});

it('a transaction holds its lock where statements commit themselves otherwise', async () => {
  const [a, b] = [items.engine({ ...roomy, isolationLevel: 'AUTOCOMMIT' }), items.engine(roomy)];
  const first = heldBy(a);
  await first.begun;
  expect(await b.exclusive('job', () => 'b')).toEqual({ ran: false });
  first.end();
  await first.outcome;
});

it('work whose snapshot would be older than its lock is refused where it waits', async () => {
  const engine = items.engine({ ...roomy, isolationLevel: 'REPEATABLE READ' });
  expect(await failureOf(engine.exclusive('job', () => 1, { wait: true }))).toBeInstanceOf(IllegalStateError);
  expect(await engine.exclusive('job', () => 1)).toEqual({ ran: true, value: 1 });
  const inside = () => engine.transaction(() => engine.scalar(sql`SHOW transaction_isolation`));
  expect(await engine.exclusive('job', inside, { scope: 'session', wait: true })).toEqual({
    ran: true,
    value: 'repeatable read',
  });
});

it('a session that holds a lock is not in a transaction, and the work commits by itself', async () => {
  const engine = items.engine(roomy);
  await engine.exclusive(
    'job',
    async () => {
      await engine.execute(insert('one'));
      expect(await items.names()).toEqual(['one']);
      const states = (await items.database.sessions()).map(({ state }) => state);
      expect(new Set(states)).toEqual(new Set(['idle']));
    },
    { scope: 'session' },
  );
});

it('a session gives its lock back whatever the pool resets', async () => {
  const engine = items.engine({ ...roomy, poolSize: 1, poolResetOnReturn: null });
  expect(await engine.exclusive('job', () => 1, { scope: 'session' })).toEqual({ ran: true, value: 1 });
  expect(await engine.scalar(sql`SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory'`)).toBe(0);
});

it('a session is refused behind a pooler, before anything is sent', async () => {
  const engine = items.engine({ ...roomy, pgbouncer: true });
  expect(await failureOf(engine.exclusive('job', () => 1, { scope: 'session' }))).toBeInstanceOf(
    ArgumentError,
  );
  expect(engine.pool.checkedIn()).toBe(0);
  expect(await engine.exclusive('job', () => 1)).toEqual({ ran: true, value: 1 });
});

it('PGlite takes the lock in a transaction, and refuses to keep its one session for it', async () => {
  const engine = createAsyncEngine('postgresql+pglite://');
  expect(await engine.exclusive('job', () => engine.scalar(sql`SELECT 1`))).toEqual({ ran: true, value: 1 });
  expect(await engine.exclusive('job', () => 2, { wait: 50 })).toEqual({ ran: true, value: 2 });
  const refused = engine.exclusive('job', () => 1, { scope: 'session' });
  expect(await failureOf(refused)).toBeInstanceOf(NotSupportedError);
  await engine.aclose();
});
