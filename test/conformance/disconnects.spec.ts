import type { EventEmitter } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import {
  ConnectionLostError,
  createAsyncEngine,
  DBAPIError,
  NullPool,
  PendingRollbackError,
  ResourceClosedError,
  text,
  type AsyncConnection,
  type AsyncEngine,
  type AsyncEngineOptions,
} from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/server/postgres.js';
import { failureOf } from '../support/items.js';
import { TestEngines } from '../support/test-engines.js';

const ONE = text('SELECT 1');
const SLEEP = text('SELECT pg_sleep(60)');

let database: TestDatabase;
const engines = new TestEngines();

function engineWith(options: AsyncEngineOptions = {}): AsyncEngine {
  return engines.add(createAsyncEngine(database.url, options));
}

/** The server process of a connection, and what to wait for until the driver has seen its end. */
async function processOf(connection: AsyncConnection): Promise<{ pid: number; ended: Promise<void> }> {
  const pooled = await connection.getRawConnection();
  const client = pooled.driverConnection as EventEmitter & { processID: number };
  return { pid: client.processID, ended: new Promise((resolve) => client.once('end', () => resolve())) };
}

/** Ends the server process of `connection`; the driver knows. */
async function kill(connection: AsyncConnection): Promise<void> {
  const { pid, ended } = await processOf(connection);
  await database.query('SELECT pg_terminate_backend($1, 5000)', [pid]);
  await ended;
}

beforeAll(async () => {
  database = await createDatabase('disconnects');
});

afterEach(() => engines.end());

afterAll(() => database.drop());

describe('a connection that is lost while it is used', () => {
  it('RC-07: invalidates the connection, which works on with a new one, and replaces the idle one of its age', async () => {
    const engine = engineWith();
    const [first, second] = [await engine.connect(), await engine.connect()];
    await second.close();
    const old = await database.sessions();
    await kill(first);
    const error = await failureOf(first.execute(ONE));
    expect(error).toBeInstanceOf(DBAPIError);
    expect([first.invalidated, first.closed, old.length]).toEqual([true, false, 2]);
    await first.rollback();
    await first.execute(ONE);
    await first.close();
    const pids = old.map(({ pid }) => pid);
    const third = await engine.connect();
    expect(pids).not.toContain((await processOf(third)).pid);
    await third.close();
  });

  // ≠: the table of architecture.md 4 cancels a transaction whose connection is lost; upstream calls it active.
  it('RC-08: the transaction stays attached and refuses until it is rolled back', async () => {
    const connection = await engineWith().connect();
    const transaction = await connection.begin();
    await connection.execute(ONE);
    await kill(connection);
    await failureOf(connection.execute(ONE));
    expect([connection.getTransaction() === transaction, transaction.state]).toEqual([true, 'cancelled']);
    expect(await failureOf(connection.execute(ONE))).toBeInstanceOf(PendingRollbackError);
    expect(await failureOf(transaction.commit())).toBeInstanceOf(PendingRollbackError);
    expect(await failureOf(connection.execute(ONE))).toBeInstanceOf(PendingRollbackError);
    await transaction.rollback();
    expect(await connection.execute(ONE).scalar()).toBe(1);
    await connection.close();
  });

  it.each(['execute', 'rollback'])('RC-15: an ordinary error on %s does not invalidate it', async (where) => {
    const connection = await engineWith().connect();
    const sql = where === 'execute' ? 'SELECT 1 / 0' : 'ROLLBACK TO SAVEPOINT nowhere';
    expect(await failureOf(connection.execDriverSql(sql))).toBeInstanceOf(DBAPIError);
    expect([connection.closed, connection.invalidated]).toEqual([false, false]);
    await connection.rollback();
    await connection.close();
  });

  // ≠: behaviour of semantics.md 1.5. The server has undone the transaction, so there is nothing to fail.
  it('RC-16: a loss that ROLLBACK finds invalidates the connection, and the rollback holds', async () => {
    const connection = await engineWith().connect();
    const transaction = await connection.begin();
    await connection.execute(ONE);
    await kill(connection);
    await transaction.rollback();
    expect(transaction.isActive).toBe(false);
    expect(await connection.execute(ONE).scalar()).toBe(1);
    await connection.close();
  });

  it('RC-22: in a block it invalidates the connection and moves the generation of the pool', async () => {
    const engine = engineWith();
    const connection = await engine.connect();
    const { generation } = await connection.getRawConnection();
    const block = connection.begin(async () => {
      await connection.execute(ONE);
      await kill(connection);
      await connection.execute(ONE);
    });
    expect(await failureOf(block)).toBeInstanceOf(ConnectionLostError);
    expect(await connection.execute(ONE).scalar()).toBe(1);
    expect((await connection.getRawConnection()).generation).toBe(generation + 1);
    await connection.close();
  });

  it('RC-27: two that are lost at once are both flagged, and the pool stays the same', async () => {
    const engine = engineWith();
    const { pool } = engine;
    const pair = [await engine.connect(), await engine.connect()];
    for (const connection of pair) await connection.execute(ONE);
    for (const connection of pair) await kill(connection);
    for (const connection of pair) {
      expect(await failureOf(connection.execute(ONE))).toMatchObject({ connectionInvalidated: true });
    }
    expect([pair.map(({ invalidated }) => invalidated), engine.pool === pool]).toEqual([[true, true], true]);
    await Promise.all(pair.map((connection) => connection.close()));
  });

  it('RC-33: the whole walk from a valid connection to a new one', async () => {
    const connection = await engineWith().connect();
    const transaction = await connection.begin();
    await connection.execute(ONE);
    const before = [transaction.isValid, transaction.isActive, connection.invalidated];
    await kill(connection);
    expect(await failureOf(connection.execute(ONE))).toBeInstanceOf(ConnectionLostError);
    const after = [transaction.isValid, transaction.isActive, connection.invalidated];
    expect([before, after]).toEqual([
      [true, true, false],
      // ≠: cancelled at once, as architecture.md 4 has it.
      [false, false, true],
    ]);
    expect(await failureOf(transaction.commit())).toBeInstanceOf(PendingRollbackError);
    await transaction.rollback();
    expect([transaction.isActive, connection.invalidated]).toEqual([false, true]);
    await connection.execute(ONE);
    expect(connection.invalidated).toBe(false);
    await connection.close();
  });

  it('RC-36: a loss while a stream fetches is flagged and invalidates the connection', async () => {
    const connection = await engineWith().connect();
    const sql = `SELECT n, CASE WHEN n > 10 THEN pg_sleep(60) END FROM generate_series(1, 20) AS n`;
    const stream = connection.stream(text(sql), {}, { yieldPer: 5 });
    expect(await stream.fetchMany(5)).toHaveLength(5);
    const { pid } = await processOf(connection);
    const rest = failureOf(stream.all());
    await database.query('SELECT pg_terminate_backend($1, 5000)', [pid]);
    expect(await rest).toMatchObject({ code: 'CONNECTION_LOST', connectionInvalidated: true });
    expect(connection.invalidated).toBe(true);
    await connection.rollback();
    await connection.close();
  });
});

describe('an invalidated connection', () => {
  it('RC-26: is not detached, nor is one that was closed', async () => {
    const engine = engineWith();
    const [invalidated, closed] = [await engine.rawConnection(), await engine.rawConnection()];
    invalidated.invalidate();
    await closed.close();
    expect(() => invalidated.detach()).toThrow(ResourceClosedError);
    expect(() => closed.detach()).toThrow(ResourceClosedError);
    await invalidated.close();
  });

  it('RC-29: is rolled back in silence', async () => {
    const connection = await engineWith().connect();
    const transaction = await connection.begin();
    connection.invalidate();
    await transaction.rollback();
    expect([transaction.isActive, await connection.execute(ONE).scalar()]).toEqual([false, 1]);
    await connection.close();
  });

  it('RC-29: rolls back a savepoint in silence, and still refuses another one', async () => {
    const connection = await engineWith().connect();
    await connection.begin();
    const nested = await connection.beginNested();
    await connection.execute(ONE);
    connection.invalidate();
    await nested.rollback();
    expect(await failureOf(connection.beginNested())).toBeInstanceOf(PendingRollbackError);
    await connection.rollback();
    await connection.close();
  });

  it('RC-30: refuses COMMIT', async () => {
    const connection = await engineWith().connect();
    const transaction = await connection.begin();
    await connection.execute(ONE);
    connection.invalidate();
    expect(await failureOf(transaction.commit())).toBeInstanceOf(PendingRollbackError);
    await transaction.rollback();
    await connection.close();
  });

  it('RC-30: may be invalidated once more', async () => {
    const connection = await engineWith().connect();
    connection.invalidate();
    connection.invalidate();
    expect(await connection.execute(ONE).scalar()).toBe(1);
    await connection.close();
  });
});

describe('the pool after a loss', () => {
  it.each([{}, { poolClass: NullPool }])('RC-32: gives a working connection with %o', async (options) => {
    const engine = engineWith(options);
    const loss = await failureOf(
      engine.connect(async (connection) => {
        await connection.execute(ONE);
        await kill(connection);
        await connection.execute(ONE);
      }),
    );
    expect(loss).toBeInstanceOf(ConnectionLostError);
    expect(await engine.execute(ONE).scalar()).toBe(1);
  });

  it('RC-06: without poolPrePing the loss shows where the connection is used', async () => {
    const engine = engineWith({ poolSize: 1, maxOverflow: 0 });
    const connection = await engine.connect();
    const { pid } = await processOf(connection);
    const sleeping = failureOf(connection.execute(SLEEP));
    await database.query('SELECT pg_terminate_backend($1, 5000)', [pid]);
    expect(await sleeping).toBeInstanceOf(ConnectionLostError);
    await connection.close();
  });

  it.each([
    ['RC-34: older than poolRecycle', { poolRecycle: 0 }, 0],
    // An answer of the last 500 ms stands for a ping.
    ['RC-35: with poolPrePing', { poolPrePing: true }, 510],
  ])('%s: a killed idle connection is replaced in silence', async (_, options, idle) => {
    const engine = engineWith({ poolSize: 1, maxOverflow: 0, ...options });
    await engine.execute(ONE);
    const [session] = await database.sessions();
    await setTimeout(idle);
    await database.query('SELECT pg_terminate_backend($1, 5000)', [session?.pid]);
    expect(await engine.execute(ONE).scalar()).toBe(1);
  });

  it('RC-31: what a new session is refused for leaves nothing in the pool, and is tried again', async () => {
    const engine = engineWith({ settings: { statement_timeout: 'nonsense' } });
    for (let attempt = 1; attempt <= 2; attempt += 1) {
      expect(await failureOf(engine.connect())).toMatchObject({ sqlState: '22023' });
      expect([engine.pool.checkedIn(), engine.pool.overflow()]).toEqual([0, -5]);
    }
  });
});
