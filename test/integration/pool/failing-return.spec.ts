import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { text } from 'nest-async-engine/engine';
import type { AsyncEngine, PooledConnection } from 'nest-async-engine/engine';
import { eventually } from '../../support/process/barrier.js';
import { startFaultyProxy } from '../../support/server/faulty-proxy.js';
import type { FaultyProxy } from '../../support/server/faulty-proxy.js';
import { failureOf, insert, MemoryLogger, ItemDatabase } from '../../support/items.js';
import { FAULTS, failOnTheWire } from '../../support/server/wire-fault.js';

let items: ItemDatabase;
let proxy: FaultyProxy;
let engine: AsyncEngine;
beforeAll(async () => {
  items = await ItemDatabase.open('returns');
});
beforeEach(async () => {
  proxy = await startFaultyProxy(items.database.url);
  engine = items.engine({ logger: new MemoryLogger() }, proxy.url);
});
afterEach(async () => {
  proxy.resume();
  await items.expectClean();
  await proxy.close();
});
afterAll(() => items.close());

const pidOf = (pooled: PooledConnection): unknown => pooled.session.processId;

/** A raw connection that its user leaves in a transaction, with a row and a setting of his own. */
async function leftInTransaction(): Promise<PooledConnection> {
  const raw = await engine.rawConnection();
  for (const sql of ['BEGIN', `SET LOCAL lock_timeout = 4711`, `INSERT INTO item (name) VALUES ('undone')`])
    await raw.session.execute([], { text: sql });
  return raw;
}

/** The next borrower is on another session, in no transaction, sees nothing of the one before, and stores its own row. */
async function expectNewSession(former: unknown): Promise<void> {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.connect(async (connection) => {
    expect(await connection.scalar(text('SELECT pg_backend_pid()'))).not.toBe(former);
    expect(await connection.scalar(text('SHOW lock_timeout'))).toBe('0');
    await connection.execute(insert('next borrower'));
    await connection.commit();
  });
  expect(await items.names()).toEqual(['next borrower']);
  // The former session is gone on the server as well.
  await eventually(async () => expect(await items.database.sessions()).toHaveLength(1));
}

for (const fault of FAULTS) {
  describe(`when ${fault}`, () => {
    it('at the reset on return: close() is quiet, and the session is replaced', async () => {
      const raw = await leftInTransaction();
      const former = pidOf(raw);
      const failed = failOnTheWire(items, proxy, 'ROLLBACK', fault);
      await expect(raw.close()).resolves.toBeUndefined();
      await failed;
      await expectNewSession(former);
    });

    it('at the reset on return: the error of the block survives', async () => {
      let former: unknown;
      const failed = failOnTheWire(items, proxy, 'ROLLBACK', fault);
      const block = async (): Promise<void> => {
        await using raw = await leftInTransaction();
        former = pidOf(raw);
        throw new RangeError('the reason');
      };
      await expect(block()).rejects.toThrow('the reason');
      await failed;
      await expectNewSession(former);
    });

    it('at the reset of a connection that somebody waits for: he gets another one', async () => {
      const raw = await leftInTransaction();
      const former = pidOf(raw);
      const waiting = engine.scalar(text('SELECT pg_backend_pid()'));
      const failed = failOnTheWire(items, proxy, 'ROLLBACK', fault);
      await raw.close();
      await failed;
      expect(await waiting).not.toBe(former);
      await expectNewSession(former);
    });
  });
}

describe('the reset on return', () => {
  it('comes behind what its borrower left running, and ends the transaction that that began', async () => {
    const raw = await engine.rawConnection();
    const former = pidOf(raw);
    const late = ['SELECT pg_sleep(0.05)', 'BEGIN', `INSERT INTO item (name) VALUES ('late')`].map((sql) =>
      raw.session.execute([], { text: sql }),
    );
    await raw.close();
    await Promise.all(late);
    expect(engine.pool.checkedIn()).toBe(1);
    await engine.connect(async (connection) => {
      expect(await connection.scalar(text('SELECT pg_backend_pid()'))).toBe(former);
    });
    expect(await items.names()).toEqual([]);
  });

  it('with poolResetOnReturn null drops a session that is in a transaction', async () => {
    engine = items.engine({ poolResetOnReturn: null }, proxy.url);
    const raw = await leftInTransaction();
    const former = pidOf(raw);
    await expect(raw.close()).resolves.toBeUndefined();
    await expectNewSession(former);
  });
});

describe('the end of a session', () => {
  it.each(['cut', 'stalled'] as const)(
    'on a wire that is %s: dispose() resolves, and work goes on',
    async (fault) => {
      const former = await engine.scalar(text('SELECT pg_backend_pid()'));
      if (fault === 'cut') proxy.cut();
      else proxy.stall();
      await expect(engine.dispose()).resolves.toBeUndefined();
      proxy.resume();
      await expectNewSession(former);
    },
  );

  it('that was killed unnoticed: aclose() resolves', async () => {
    await engine.scalar(text('SELECT 1'));
    const [session] = await items.database.sessions();
    await items.database.query('SELECT pg_terminate_backend($1, 5000)', [session?.pid]);
    await expect(engine.aclose()).resolves.toBeUndefined();
    expect(await items.database.sessions()).toEqual([]);
  });

  it('of a detached connection fails: close() is quiet, and the pool is as it was', async () => {
    const raw = await leftInTransaction();
    const former = pidOf(raw);
    raw.detach();
    proxy.cut();
    await expect(raw.close()).resolves.toBeUndefined();
    await expectNewSession(former);
  });
});

describe('RELEASE', () => {
  it('that is still to be sent is dropped with a transaction that throws: its error survives', async () => {
    const work = engine.transaction(async () => {
      await engine.execute(insert('outer'));
      await engine.transaction(() => engine.execute(insert('nested')));
      throw new RangeError('the reason');
    });
    await expect(work).rejects.toThrow('the reason');
    expect(proxy.statements.filter((sql) => sql.startsWith('RELEASE'))).toEqual([]);
    expect(await items.names()).toEqual([]);
  });

  it('that the server refuses fails the statement that it travels with, and the transaction', async () => {
    let first: unknown;
    const work = engine.transaction(async () => {
      await engine.transaction(async () => {
        await engine.execute(insert('nested'));
        await engine.execute(text('RELEASE SAVEPOINT nae_savepoint_1'));
      });
      first = await failureOf(engine.execute(insert('after')));
      throw first;
    });
    expect(await failureOf(work)).toBe(first);
    expect(first).toMatchObject({ sqlState: '3B001', connectionInvalidated: false });
    await engine.transaction(() => engine.execute(insert('next borrower')));
    expect(await items.names()).toEqual(['next borrower']);
  });
});
