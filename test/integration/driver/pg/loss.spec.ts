import type { EventEmitter } from 'node:events';
import {
  CommitOutcomeUnknownError,
  ConnectionLostError,
  createAsyncEngine,
  PendingRollbackError,
  text,
  type AsyncConnection,
  type AsyncEngine,
} from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { failureOf } from '../../../support/items.js';
import { eventually } from '../../../support/process/barrier.js';
import { startFaultyProxy, type FaultyProxy } from '../../../support/server/faulty-proxy.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';
import { storedNames } from '../../../support/process/outcome.js';

const insert = text('INSERT INTO item (name) VALUES (:name)');
const lost = { code: 'CONNECTION_LOST', connectionInvalidated: true };

let database: TestDatabase;
let proxy: FaultyProxy;
let engine: AsyncEngine;

const save = (name = 'a') => engine.execute(insert, { name });

/** Ends every session of the engine from outside, and waits until the server has done so. */
async function killSessions(): Promise<void> {
  await database.query(
    `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`,
  );
}

/** Ends the only session of the engine by `kill` and waits until the driver has seen it. */
async function killedUnused(client: unknown, kill: () => Promise<void>): Promise<void> {
  const ended = new Promise((resolve) => (client as EventEmitter).once('end', resolve));
  await kill();
  await ended;
}

/** The driver's client behind the pool's only connection. */
async function pooledClient(): Promise<unknown> {
  await using pooled = await engine.rawConnection();
  return pooled.driverConnection;
}

const kills: { name: string; kill: () => Promise<void> }[] = [
  { name: 'pg_terminate_backend', kill: killSessions },
  { name: 'a cut connection', kill: () => Promise.resolve(proxy.cut()) },
];

/** Runs `work` until it sleeps on the server, then ends its session. */
async function killedWhileAsleep(work: PromiseLike<unknown>, kill: () => Promise<void>): Promise<unknown> {
  const failure = failureOf(work);
  await eventually(async () =>
    expect(await database.sessions()).toMatchObject([{ wait_event_type: 'Timeout' }]),
  );
  await kill();
  return await failure;
}

const sleep = () => engine.execute(text('SELECT pg_sleep(60)'));

async function expectToWorkOn(): Promise<void> {
  await save('last');
  expect((await storedNames(database, 'item', 'id')).at(-1)).toBe('last');
}

beforeAll(async () => {
  database = await createDatabase('loss');
  await database.query('CREATE TABLE item (id serial PRIMARY KEY, name text)');
});

beforeEach(async () => {
  await killSessions();
  await database.query('TRUNCATE item');
  proxy = await startFaultyProxy(database.url);
  engine = createAsyncEngine(proxy.url, { poolSize: 1, maxOverflow: 0, poolTimeout: 5_000 });
});

afterEach(async () => {
  proxy.resume();
  expect(engine.pool.checkedOut()).toBe(0);
  await expectToWorkOn();
  await engine.aclose();
  await proxy.close();
});

afterAll(() => database.drop());

describe.each(kills)('$name', ({ kill }) => {
  it('during an autocommitted statement', async () => {
    expect(await killedWhileAsleep(sleep(), kill)).toMatchObject({
      ...lost,
      statement: 'SELECT pg_sleep(60)',
    });
  });

  it('while a connection is idle in the pool: it is replaced at its next checkout', async () => {
    await save('before');
    await killedUnused(await pooledClient(), kill);
    await save('after');
    expect(await storedNames(database, 'item', 'id')).toEqual(['before', 'after']);
  });

  it('between two ambient transactions', async () => {
    await engine.transaction(() => save('before'));
    await killedUnused(await pooledClient(), kill);
    await engine.transaction(() => save('after'));
    expect(await storedNames(database, 'item', 'id')).toEqual(['before', 'after']);
  });

  it('between two statements of a transaction', async () => {
    const work = engine.transaction(async () => {
      await save();
      await kill();
      await save();
    });
    await expect(work).rejects.toMatchObject(lost);
    expect(await storedNames(database, 'item', 'id')).toEqual([]);
  });

  it('during a statement of a transaction', async () => {
    const work = engine.transaction(async () => {
      await save();
      await sleep();
    });
    expect(await killedWhileAsleep(work, kill)).toMatchObject(lost);
    expect(await storedNames(database, 'item', 'id')).toEqual([]);
  });

  it('swallowed inside a transaction: what comes later is refused and nothing is stored', async () => {
    const work = engine.transaction(async () => {
      await save();
      await kill();
      await expect(save()).rejects.toMatchObject(lost);
      await expect(save()).rejects.toBeInstanceOf(PendingRollbackError);
    });
    await expect(work).rejects.toBeInstanceOf(PendingRollbackError);
    expect(await storedNames(database, 'item', 'id')).toEqual([]);
  });

  it('in a savepoint', async () => {
    const work = engine.transaction(async () => {
      await save();
      await expect(
        engine.transaction(async () => {
          await save();
          await kill();
          await save();
        }),
      ).rejects.toMatchObject(lost);
      await expect(save()).rejects.toBeInstanceOf(PendingRollbackError);
    });
    await expect(work).rejects.toBeInstanceOf(PendingRollbackError);
    expect(await storedNames(database, 'item', 'id')).toEqual([]);
  });

  it('fails everything that waits on the connection, and nothing hangs', async () => {
    const work = engine.transaction(async () => {
      await save();
      const settled = Promise.allSettled([sleep(), save(), save()]);
      await eventually(async () =>
        expect(await database.sessions()).toMatchObject([{ wait_event_type: 'Timeout' }]),
      );
      await kill();
      const reasons = (await settled).map((one) => (one.status === 'rejected' ? one.reason : 'stored'));
      expect(reasons).toMatchObject([lost, lost, lost]);
    });
    await expect(work).rejects.toBeInstanceOf(PendingRollbackError);
  });

  it('while a stream is read', async () => {
    const seen: unknown[] = [];
    const work = async (): Promise<void> => {
      const rows = engine.stream(text('SELECT generate_series(1, 100000) AS n'), undefined, { yieldPer: 10 });
      for await (const row of rows) {
        seen.push(row);
        if (seen.length === 5) await kill();
      }
    };
    await expect(work()).rejects.toMatchObject(lost);
    expect(seen.length).toBeLessThan(100);
  });

  it('while a stream waits for rows', async () => {
    const work = async (): Promise<void> => {
      for await (const _ of engine.stream(text('SELECT pg_sleep(60)')));
    };
    expect(await killedWhileAsleep(work(), kill)).toMatchObject(lost);
  });

  it('while a stream in a transaction is read', async () => {
    const work = engine.transaction(async () => {
      await save();
      const rows = engine.stream(text('SELECT generate_series(1, 100000) AS n'), undefined, { yieldPer: 10 });
      for await (const { n } of rows) if (n === 5) await kill();
    });
    await expect(work).rejects.toMatchObject(lost);
    expect(await storedNames(database, 'item', 'id')).toEqual([]);
  });

  describe('on an explicit connection', () => {
    let connection: AsyncConnection;

    beforeEach(async () => {
      connection = await engine.connect();
    });

    afterEach(() => connection.close());

    const execute = (name = 'a') => connection.execute(insert, { name });

    it('before BEGIN: the first statement fails, and the next one after a rollback works', async () => {
      await killedUnused(connection.pooled?.driverConnection, kill);
      await expect(execute()).rejects.toMatchObject(lost);
      await expect(execute()).rejects.toBeInstanceOf(PendingRollbackError);
      await connection.rollback();
      await execute('again');
      await connection.commit();
      expect(await storedNames(database, 'item', 'id')).toEqual(['again']);
    });

    it('between statements: refused until rolled back', async () => {
      await execute();
      await kill();
      await expect(execute()).rejects.toMatchObject(lost);
      expect(connection.invalidated).toBe(true);
      await expect(execute()).rejects.toBeInstanceOf(PendingRollbackError);
      await expect(connection.commit()).rejects.toBeInstanceOf(PendingRollbackError);
      await connection.rollback();
      await execute('again');
      await connection.commit();
      expect(await storedNames(database, 'item', 'id')).toEqual(['again']);
    });

    it('with a savepoint open: refused until the root is rolled back', async () => {
      const root = await connection.begin();
      const nested = await connection.beginNested();
      await execute();
      await kill();
      await expect(execute()).rejects.toMatchObject(lost);
      expect([root.isActive, nested.isActive]).toEqual([false, false]);
      await nested.rollback();
      await expect(execute()).rejects.toBeInstanceOf(PendingRollbackError);
      await root.rollback();
      await execute('again');
      await connection.commit();
      expect(await storedNames(database, 'item', 'id')).toEqual(['again']);
    });

    it('before ROLLBACK: it succeeds, for the server has done it', async () => {
      await execute();
      await killedUnused(connection.pooled?.driverConnection, kill);
      await connection.rollback();
      await execute('again');
      await connection.commit();
      expect(await storedNames(database, 'item', 'id')).toEqual(['again']);
    });

    it('before close: it gives back the place in the pool', async () => {
      await execute();
      await kill();
      await connection.close();
      expect(engine.pool.checkedOut()).toBe(0);
    });
  });
});

describe('during COMMIT', () => {
  const isCommit = (from: 'client' | 'server') => (message: { from: string; type: string; text?: string }) =>
    message.from === from && message.text === 'COMMIT' && /Query|Execute|CommandComplete/.test(message.type);

  it('after the server has done it: the outcome is unknown, and the data is stored', async () => {
    const held = proxy.holdWhen(isCommit('server'));
    const failure = failureOf(engine.transaction(() => save()));
    await held;
    proxy.cut();
    expect(await failure).toBeInstanceOf(CommitOutcomeUnknownError);
    expect(await failure).toMatchObject({ cause: lost });
    expect(await storedNames(database, 'item', 'id')).toEqual(['a']);
  });

  it('before the server has heard it: the outcome is unknown, and nothing is stored', async () => {
    const held = proxy.holdWhen(isCommit('client'));
    const failure = failureOf(engine.transaction(() => save()));
    await held;
    proxy.cut();
    expect(await failure).toBeInstanceOf(CommitOutcomeUnknownError);
    await eventually(async () => expect(await database.sessions()).toEqual([]));
    expect(await storedNames(database, 'item', 'id')).toEqual([]);
  });

  it('is not retried', async () => {
    let attempts = 0;
    const held = proxy.holdWhen(isCommit('server'));
    const work = () => {
      attempts += 1;
      return save();
    };
    const failure = failureOf(engine.transaction(work, { retry: 5 }));
    await held;
    proxy.cut();
    expect(await failure).toBeInstanceOf(CommitOutcomeUnknownError);
    expect(attempts).toBe(1);
  });

  it('through a handle: the connection works on', async () => {
    await using connection = await engine.connect();
    await connection.execute(insert, { name: 'a' });
    const held = proxy.holdWhen(isCommit('server'));
    const failure = failureOf(connection.commit());
    await held;
    proxy.cut();
    expect(await failure).toBeInstanceOf(CommitOutcomeUnknownError);
    expect(connection.inTransaction()).toBe(false);
    await connection.execute(insert, { name: 'b' });
    await connection.commit();
    expect(await storedNames(database, 'item', 'id')).toEqual(['a', 'b']);
  });
});

it('behind an ordinary error is reported as a loss', async () => {
  const held = proxy.holdWhen(({ from, type }) => from === 'server' && type === 'ReadyForQuery');
  // The login's own ReadyForQuery is the first one.
  const opening = failureOf(engine.execute(text('SELECT 1 / 0')));
  await held;
  const second = proxy.holdWhen(({ from, type }) => from === 'server' && type === 'ReadyForQuery');
  proxy.resume();
  await second;
  proxy.cut();
  const failure = await opening;
  expect(failure).toBeInstanceOf(ConnectionLostError);
  expect(failure).toMatchObject({ sqlState: undefined, connectionInvalidated: true });
});

it("gives the server's last words as the reason", async () => {
  expect(await killedWhileAsleep(sleep(), killSessions)).toMatchObject({
    ...lost,
    sqlState: '57P01',
    message: expect.stringContaining('terminating connection due to administrator command'),
  });
});

it('of one connection replaces the others of its age when they are next needed', async () => {
  const wide = createAsyncEngine(proxy.url, { poolSize: 3 });
  const pid = text('SELECT pg_backend_pid()');
  const pids = await Promise.all([1, 2, 3].map(() => wide.scalar<number>(pid)));
  const failure = await killedOne(wide);
  expect(failure).toMatchObject(lost);
  const later = await Promise.all([1, 2, 3].map(() => wide.scalar<number>(pid)));
  expect(later.filter((one) => pids.includes(one))).toEqual([]);
  expect(wide.pool.checkedOut()).toBe(0);
  await wide.aclose();
});

async function killedOne(wide: AsyncEngine): Promise<unknown> {
  const failure = failureOf(wide.execute(text('SELECT pg_sleep(60)')));
  const [victim] = await eventually(async () => {
    const sleeping = (await database.sessions()).filter(({ wait_event_type: wait }) => wait === 'Timeout');
    expect(sleeping).toHaveLength(1);
    return sleeping;
  });
  await database.query('SELECT pg_terminate_backend($1, 5000)', [victim?.pid]);
  return await failure;
}

it('never ends the process: nobody listens and nothing is thrown', async () => {
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  process.on('uncaughtException', note).on('unhandledRejection', note);
  await using connection = await engine.connect();
  await killedUnused(connection.pooled?.driverConnection, killSessions);
  await connection.close();
  await new Promise((resolve) => setImmediate(resolve));
  process.off('uncaughtException', note).off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
});

it('before the first statement of a fresh engine is an error that names the address', async () => {
  const { port } = new URL(proxy.url);
  await proxy.close();
  const failure = await failureOf(save());
  expect(failure).toMatchObject({
    code: 'CONNECT',
    message: expect.stringContaining(`127.0.0.1:${port}`),
  });
  proxy = await startFaultyProxy(database.url);
  engine = createAsyncEngine(proxy.url, { poolSize: 1 });
});
