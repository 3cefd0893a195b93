import { getEventListeners } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  CommitOutcomeUnknownError,
  ConnectionLostError,
  QueryCanceledError,
  ResourceClosedError,
  TransactionTimeoutError,
  sql,
} from 'nest-async-engine/engine';
import { eventually } from '../../support/process/barrier.js';
import { failureOf, ItemDatabase, insert } from '../../support/items.js';

// Longer than a test may take: whoever waits for it has failed.
const SLEEP = sql`SELECT pg_sleep(60)::text AS slept`;

let items: ItemDatabase;

beforeAll(async () => {
  items = await ItemDatabase.open('stream_cancel');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

describe('a fetch of a stream', () => {
  it('is cancelled by the timeout of its statement', async () => {
    const engine = items.engine();
    const failure = await failureOf(engine.stream(SLEEP, undefined, { timeout: 50 }).all());
    expect(failure).toBeInstanceOf(QueryCanceledError);
  });

  it('is cancelled by its signal, and the transaction it is part of has failed only', async () => {
    const engine = items.engine();
    const abort = new AbortController();
    await engine.connect(async (connection) => {
      const rows = failureOf(connection.stream(SLEEP, undefined, { signal: abort.signal }).all());
      await eventually(async () => {
        const [session] = await items.database.sessions();
        expect(session).toMatchObject({ state: 'active' });
      });
      abort.abort();
      expect(await rows).toBeInstanceOf(QueryCanceledError);
      expect(connection.getTransaction()?.state).toBe('failed');
      await connection.rollback();
      expect(await connection.scalar(sql`SELECT 1`)).toBe(1);
    });
  });

  it('is cancelled by the timeout of its transaction', async () => {
    const engine = items.engine();
    const failure = await failureOf(engine.transaction(() => engine.stream(SLEEP).all(), { timeout: 50 }));
    expect(failure).toBeInstanceOf(TransactionTimeoutError);
  });
});

describe('a stream whose signal is aborted while rows are at hand', () => {
  const MANY = sql`SELECT n FROM generate_series(1, 10000) AS n`;

  it('gives no further row', async () => {
    const engine = items.engine();
    const abort = new AbortController();
    let seen = 0;
    const failure = await failureOf(
      (async () => {
        for await (const _row of engine.stream(MANY, undefined, { signal: abort.signal })) {
          seen += 1;
          if (seen === 10) abort.abort();
        }
      })(),
    );
    expect(failure).toBeInstanceOf(QueryCanceledError);
    expect(seen).toBe(10);
  });

  it('gives its connection back, although nothing is asked of it', async () => {
    const engine = items.engine();
    const abort = new AbortController();
    const stream = engine.stream(MANY, undefined, { signal: abort.signal });
    await stream.fetchOne();
    expect(engine.pool.checkedOut()).toBe(1);
    abort.abort(new Error('the reader has gone'));
    await eventually(() => expect(engine.pool.checkedOut()).toBe(0));
    expect(await failureOf(stream.fetchOne())).toBeInstanceOf(QueryCanceledError);
    expect(await failureOf(stream.fetchOne())).toBeInstanceOf(ResourceClosedError);
  });

  it('leaves its transaction as it is', async () => {
    const engine = items.engine();
    await engine.begin(async (connection) => {
      const abort = new AbortController();
      const stream = connection.stream(MANY, undefined, { signal: abort.signal });
      await stream.fetchMany(10);
      // The batch that is fetched ahead has come.
      await connection.scalar(sql`SELECT 1`);
      abort.abort();
      expect(await failureOf(stream.fetchOne())).toBeInstanceOf(QueryCanceledError);
      await connection.execute(insert('kept'));
    });
    expect(await items.names()).toEqual(['kept']);
  });

  it('listens to its signal no longer than it is open', async () => {
    const engine = items.engine();
    const { signal } = new AbortController();
    for (let index = 0; index < 3; index += 1) {
      await engine.stream(MANY, undefined, { signal }).first();
      for await (const _row of engine.stream(MANY, undefined, { signal })) break;
      await engine.stream(MANY, undefined, { signal }).all();
    }
    expect(getEventListeners(signal, 'abort').length).toBe(0);
  });
});

describe('a stream that waits for a connection of the pool', () => {
  it('gives up its place when it is closed, and its statement is never sent', async () => {
    const engine = items.engine();
    const connection = await engine.connect();
    const stream = engine.stream(SLEEP);
    const opening = failureOf(stream.open());
    await eventually(() => expect(engine.pool.waiting()).toBe(1));
    await stream.close();
    expect(engine.pool.waiting()).toBe(0);
    await opening;
    await connection.close();
    expect(await items.database.sessions()).toMatchObject([
      { query: expect.not.stringContaining('pg_sleep') },
    ]);
  });

  it('gives up its place when the timeout of its transaction has passed', async () => {
    const engine = items.engine();
    const connection = await engine.connect();
    const failure = await failureOf(engine.transaction(() => engine.stream(SLEEP).all(), { timeout: 50 }));
    expect(failure).toBeInstanceOf(TransactionTimeoutError);
    expect(engine.pool.waiting()).toBe(0);
    await connection.close();
  });
});

describe('a COMMIT on a session that is known to be dead', () => {
  it('was never sent, so its outcome is known', async () => {
    const engine = items.engine();
    const connection = await engine.connect();
    const transaction = await connection.begin();
    await connection.execute(insert('lost'));
    const { driverConnection } = await connection.getRawConnection();
    const ended = new Promise((resolve) => (driverConnection as NodeJS.EventEmitter).once('end', resolve));
    await items.database.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1', [
      (driverConnection as { processID: number }).processID,
    ]);
    await ended;
    const failure = await failureOf(transaction.commit());
    expect(failure).not.toBeInstanceOf(CommitOutcomeUnknownError);
    expect(failure).toBeInstanceOf(ConnectionLostError);
    await connection.close();
    expect(await items.names()).toEqual([]);
  });
});
