import {
  createAsyncEngine,
  QueryCanceledError,
  text,
  TransactionTimeoutError,
  type AsyncEngine,
} from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { failureOf } from '../../support/items.js';
import { eventually } from '../../support/process/barrier.js';
import { startFaultyProxy, type FaultyProxy } from '../../support/server/faulty-proxy.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';
import { storedNames } from '../../support/process/outcome.js';

const sleep = text('SELECT pg_sleep(60)');
const insert = text('INSERT INTO item (name) VALUES (:name)');

let database: TestDatabase;
let proxy: FaultyProxy;
let engine: AsyncEngine;

const save = (name: string) => engine.execute(insert, { name });
const backend = () => engine.scalar<number>(text('SELECT pg_backend_pid()'));

/** Watches `work` from now on, so that its failure is never unhandled. */
/** Resolves when exactly one session sleeps on the server. */
const asleep = () =>
  eventually(async () => {
    const sleeping = (await database.sessions()).filter(({ wait_event_type: wait }) => wait === 'Timeout');
    expect(sleeping).toHaveLength(1);
  });

beforeAll(async () => {
  database = await createDatabase('cancel');
  await database.query('CREATE TABLE item (id serial PRIMARY KEY, name text)');
});

beforeEach(async () => {
  await database.query('TRUNCATE item');
  proxy = await startFaultyProxy(database.url);
  engine = createAsyncEngine(proxy.url, { poolSize: 1, maxOverflow: 0 });
});

afterEach(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.aclose();
  await proxy.close();
});

afterAll(() => database.drop());

describe('a statement', () => {
  it('is cancelled by its timeout and the connection stays', async () => {
    const before = await backend();
    const work = engine.execute(sleep, undefined, { timeout: 20 });
    await expect(work).rejects.toMatchObject({ code: 'QUERY_CANCELED', statement: 'SELECT pg_sleep(60)' });
    expect(await backend()).toBe(before);
  });

  it('is cancelled by its signal and the connection stays', async () => {
    const before = await backend();
    const abort = new AbortController();
    const work = engine.execute(sleep, undefined, { signal: abort.signal });
    const failure = failureOf(work);
    await asleep();
    abort.abort();
    expect(await failure).toBeInstanceOf(QueryCanceledError);
    expect(await backend()).toBe(before);
  });

  it('whose signal was aborted before is never sent', async () => {
    await backend();
    proxy.reset();
    const work = engine.execute(insert, { name: 'x' }, { signal: AbortSignal.abort() });
    await expect(work).rejects.toBeInstanceOf(QueryCanceledError);
    expect(proxy.messages).toEqual([]);
  });

  it('that ends in time is not cancelled', async () => {
    const abort = new AbortController();
    await engine.execute(insert, { name: 'x' }, { timeout: 5_000, signal: abort.signal });
    abort.abort();
    await backend();
    expect([await storedNames(database, 'item', 'id'), proxy.cancelRequests]).toEqual([['x'], 0]);
  });

  it('takes its timeout from the options of the engine', async () => {
    const hasty = engine.executionOptions({ timeout: 20 });
    await expect(hasty.execute(sleep)).rejects.toBeInstanceOf(QueryCanceledError);
  });

  it('may end by timeout and signal at once', async () => {
    const signal = AbortSignal.timeout(20);
    await expect(engine.execute(sleep, undefined, { timeout: 20, signal })).rejects.toBeInstanceOf(
      QueryCanceledError,
    );
    await backend();
  });
});

describe('the statement behind a cancelled one', () => {
  it('is never hit, 100 times, on one connection', async () => {
    await using connection = await engine.connect();
    await connection.executionOptions({ isolationLevel: 'AUTOCOMMIT' });
    const outcomes = new Set<unknown>();
    for (let round = 0; round < 100; round += 1) {
      const abort = new AbortController();
      // One in ten is long enough to be cancelled on a slow machine, too.
      const seconds = round % 10 === 0 ? 0.05 : 0.002;
      const victim = connection.execute(text(`SELECT pg_sleep(${seconds})`), undefined, {
        signal: abort.signal,
      });
      const outcome = victim.then(
        () => 'done',
        (error: unknown) => (error as { code?: unknown }).code,
      );
      const innocent = outcome.then(() => connection.scalar(text('SELECT pg_sleep(0.002) IS NOT NULL')));
      // Spread around the end of the victim: before it, with it, after it.
      setTimeout(() => abort.abort(), round % 5);
      outcomes.add(await outcome);
      expect(await innocent).toBe(true);
    }
    expect(outcomes).toEqual(new Set(['done', 'QUERY_CANCELED']));
  });

  it('is never hit, 100 times, through the pool', async () => {
    for (let round = 0; round < 100; round += 1) {
      const victim = engine
        .execute(text('SELECT pg_sleep(0.002)'), undefined, { timeout: round % 4 })
        .catch(() => undefined);
      const innocents = [1, 2].map(() => engine.scalar(text('SELECT pg_sleep(0.001) IS NOT NULL')));
      await victim;
      expect(await Promise.all(innocents)).toEqual([true, true]);
    }
  });

  it('ends, when the request was there before it', async () => {
    const pooled = await engine.rawConnection();
    await pooled.session.execute([], { text: 'SELECT 1' });
    const held = proxy.holdWhen(({ from, type }) => from === 'client' && type === 'Bind');
    const failure = failureOf(pooled.session.execute([], { text: 'SELECT pg_sleep(60)' }));
    await held;
    await pooled.session.cancel();
    proxy.resume();
    expect(await failure).toBeInstanceOf(QueryCanceledError);
    expect(pooled.isValid).toBe(true);
    await pooled.close();
  });

  it('waits until the cancel request is delivered', async () => {
    await using connection = await engine.connect();
    await connection.executionOptions({ isolationLevel: 'AUTOCOMMIT' });
    await connection.scalar(text('SELECT 1'));
    const held = proxy.holdWhen(({ type }) => type === 'CancelRequest');
    const abort = new AbortController();
    const victim = connection.execute(text('SELECT pg_sleep(0.05)'), undefined, { signal: abort.signal });
    await eventually(() => expect(proxy.statements).toContain('SELECT pg_sleep(0.05)'));
    abort.abort();
    await held;
    await victim;
    proxy.reset();
    const next = connection.scalar(text('SELECT 2'));
    await new Promise((resolve) => setTimeout(resolve, 50));
    const sentBefore = proxy.statements;
    proxy.resume();
    expect([sentBefore, await next]).toEqual([[], 2]);
  });
});

describe('in a transaction', () => {
  it('is a failed statement, and the savepoint around it undoes it', async () => {
    await engine.transaction(async () => {
      await save('before');
      const nested = engine.transaction(() => engine.execute(sleep, undefined, { timeout: 20 }));
      await expect(nested).rejects.toBeInstanceOf(QueryCanceledError);
      await save('after');
    });
    expect(await storedNames(database, 'item', 'id')).toEqual(['before', 'after']);
  });

  it('without a savepoint it fails the transaction', async () => {
    const work = engine.transaction(async () => {
      await save('before');
      await expect(engine.execute(sleep, undefined, { timeout: 20 })).rejects.toBeInstanceOf(
        QueryCanceledError,
      );
      await expect(save('after')).rejects.toMatchObject({ sqlState: '25P02' });
    });
    await expect(work).rejects.toMatchObject({
      code: 'UNEXPECTED_ROLLBACK',
      cause: { code: 'QUERY_CANCELED' },
    });
    expect(await storedNames(database, 'item', 'id')).toEqual([]);
  });

  it('one that waits its turn on the connection is taken out and the transaction goes on', async () => {
    await engine.transaction(async () => {
      await save('before');
      const abort = new AbortController();
      const slow = engine.execute(text('SELECT pg_sleep(0.05)'));
      const waiting = engine.execute(insert, { name: 'cancelled' }, { signal: abort.signal });
      const failure = failureOf(waiting);
      await eventually(() => expect(proxy.statements).toContain('SELECT pg_sleep(0.05)'));
      abort.abort();
      expect(await failure).toMatchObject({
        code: 'QUERY_CANCELED',
        message: expect.stringContaining('before it was sent'),
      });
      await slow;
      await save('after');
    });
    expect([await storedNames(database, 'item', 'id'), proxy.cancelRequests]).toEqual([
      ['before', 'after'],
      0,
    ]);
  });

  it('a first statement that was cancelled before it was sent leaves the transaction as it was', async () => {
    await engine.transaction(async () => {
      const unsent = engine.execute(insert, { name: 'no' }, { signal: AbortSignal.abort() });
      await expect(unsent).rejects.toBeInstanceOf(QueryCanceledError);
      await save('yes');
    });
    expect(await storedNames(database, 'item', 'id')).toEqual(['yes']);
  });
});

describe("a transaction's timeout", () => {
  it('cancels what runs, undoes everything and says so', async () => {
    const work = engine.transaction(
      async () => {
        await save('a');
        await engine.execute(sleep);
      },
      { timeout: 100 },
    );
    await expect(work).rejects.toBeInstanceOf(TransactionTimeoutError);
    expect([await storedNames(database, 'item', 'id'), engine.pool.checkedOut()]).toEqual([[], 0]);
  });

  it('ends one that does nothing on the server', async () => {
    const work = engine.transaction(
      async () => {
        await save('a');
        await new Promise((resolve) => setTimeout(resolve, 150));
      },
      { timeout: 100 },
    );
    await expect(work).rejects.toBeInstanceOf(TransactionTimeoutError);
    expect(await storedNames(database, 'item', 'id')).toEqual([]);
  });

  it('is the outcome also when the body swallows it', async () => {
    const work = engine.transaction(
      async () => {
        await save('a');
        await engine.execute(sleep).catch(() => undefined);
      },
      { timeout: 100 },
    );
    await expect(work).rejects.toBeInstanceOf(TransactionTimeoutError);
    expect(await storedNames(database, 'item', 'id')).toEqual([]);
  });

  it('counts inside nested transactions too', async () => {
    const work = engine.transaction(
      async () => {
        await save('a');
        await engine.transaction(() => engine.execute(sleep));
      },
      { timeout: 100 },
    );
    await expect(work).rejects.toBeInstanceOf(TransactionTimeoutError);
    expect(await storedNames(database, 'item', 'id')).toEqual([]);
  });

  it('keeps the connection', async () => {
    const before = await backend();
    await engine.transaction(() => engine.execute(sleep), { timeout: 50 }).catch(() => undefined);
    expect(await backend()).toBe(before);
  });
});

describe('a stream', () => {
  it('that is left while it waits for rows is cancelled at once', async () => {
    const rows = engine.stream<{ n: number }>(
      text('SELECT n FROM generate_series(1, 3) AS n, pg_sleep(CASE n WHEN 3 THEN 60 ELSE 0 END)'),
      undefined,
      { yieldPer: 1 },
    );
    for await (const { n } of rows) if (n === 1) break;
    expect(engine.pool.checkedOut()).toBe(0);
    await save('after');
  });
});
