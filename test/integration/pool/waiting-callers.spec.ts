import { createAsyncEngine, PoolDeadlockError, text } from 'nest-async-engine/engine';
import type { AsyncConnection, AsyncEngine } from 'nest-async-engine/engine';
import { fromQuery } from 'nest-async-engine/rx';
import { Client } from 'pg';
import { lastValueFrom } from 'rxjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Latch } from '../../support/process/barrier.js';
import { failureOf } from '../../support/items.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('waiting');
});
afterAll(() => database.drop());

describe('an attempt to connect that hangs', () => {
  it('and whose caller has left holds up no second caller', async () => {
    const hung = new Latch();
    const asked = new Latch();
    let attempts = 0;
    const engine = createAsyncEngine(database.url, {
      poolSize: 2,
      maxOverflow: 0,
      poolTimeout: 5_000,
      asyncCreator: async () => {
        attempts += 1;
        if (attempts === 1) {
          asked.open();
          await hung.opened;
        }
        const client = new Client(database.url);
        await client.connect();
        return client;
      },
    });
    const leaving = new AbortController();
    const first = failureOf(engine.execute(text('SELECT 1'), {}, { signal: leaving.signal }));
    await asked.opened;
    leaving.abort();
    expect(await first).toBeInstanceOf(Error);
    expect(await engine.scalar(text('SELECT 2'))).toBe(2);
    hung.open();
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
  });
});

describe('a transaction of its own that its holder does not wait for', () => {
  it('is no deadlock: it runs when the holder has given back the only connection', async () => {
    const engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0, poolTimeout: 5_000 });
    let inner: Promise<unknown> = Promise.resolve();
    await engine.transaction(async () => {
      await engine.execute(text('SELECT 1'));
      inner = engine.transaction(() => engine.scalar(text('SELECT 3')), { propagation: 'requires-new' });
      inner.catch(() => undefined);
    });
    expect(await inner).toBe(3);
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
  });

  it('is one where the holder waits for it, at once', async () => {
    const engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0, poolTimeout: 60_000 });
    const failure = await failureOf(
      engine.transaction(async () => {
        await engine.execute(text('SELECT 1'));
        await engine.transaction(() => engine.scalar(text('SELECT 3')), { propagation: 'requires-new' });
      }),
    );
    expect(failure).toBeInstanceOf(PoolDeadlockError);
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
  });
});

const rows = text('SELECT * FROM generate_series(1, 5000)');
const ONE = text('SELECT 1');

describe('limits of the callers that wait', () => {
  it.each([
    ['none of their own', {}, {}],
    ['the timeout of their transactions', { timeout: 20_000 }, {}],
    ['the timeout of their statements', {}, { timeout: 20_000 }],
  ])('hide no deadlock: %s', async (_limit, options, statementOptions) => {
    const engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0, poolTimeout: 60_000 });
    const inner = () =>
      failureOf(
        engine.transaction(() => engine.execute(ONE, undefined, statementOptions), {
          ...options,
          propagation: 'requires-new',
        }),
      );
    const failures = await engine.transaction(async () => {
      await engine.execute(ONE);
      return [...(await Promise.all([inner(), inner()])), await inner()];
    });
    for (const failure of failures) expect(failure).toBeInstanceOf(PoolDeadlockError);
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
  });
});

describe('a stream in whose loop the last connection is waited for', () => {
  it.each<[string, (engine: AsyncEngine) => Promise<unknown>]>([
    [
      'engine.execute()',
      async (engine) => {
        for await (const _row of engine.stream(rows)) await engine.execute(ONE);
      },
    ],
    [
      'a transaction',
      async (engine) => {
        for await (const _row of engine.stream(rows)) await engine.transaction(() => engine.execute(ONE));
      },
    ],
    [
      'another stream',
      async (engine) => {
        for await (const _row of engine.stream(rows)) await engine.stream(ONE).all();
      },
    ],
    [
      'a projection of fromQuery()',
      (engine) => lastValueFrom(fromQuery(engine, rows, {}, { project: () => engine.execute(ONE) })),
    ],
    [
      'a scope',
      (engine) =>
        engine.scope(async () => {
          for await (const _row of engine.stream(rows).scalars()) await engine.execute(ONE);
        }),
    ],
    [
      'a transaction around both',
      (engine) =>
        engine.transaction(async () => {
          for await (const _row of engine.stream(rows))
            await engine.transaction(() => engine.execute(ONE), { propagation: 'requires-new' });
        }),
    ],
    [
      'connection.stream()',
      (engine) =>
        engine.connect(async (connection) => {
          for await (const _row of connection.stream(rows)) await engine.execute(ONE);
        }),
    ],
  ])('is a PoolDeadlockError, at once: %s', async (_way, run) => {
    const engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0, poolTimeout: 60_000 });
    expect(await failureOf(run(engine))).toBeInstanceOf(PoolDeadlockError);
    expect([engine.pool.checkedOut(), engine.pool.waiting()]).toEqual([0, 0]);
    await engine.aclose();
  });
});

describe('a handle whose own work waits for the last connection', () => {
  const held = async (
    engine: AsyncEngine,
    use: (connection: AsyncConnection) => Promise<unknown>,
  ): Promise<unknown> => {
    await using connection = await engine.connect();
    return await use(connection);
  };
  it.each<[string, (engine: AsyncEngine) => Promise<unknown>]>([
    ['connection.begin(work)', (engine) => held(engine, (own) => own.begin(async () => engine.execute(ONE)))],
    [
      'connection.beginNested(work)',
      (engine) => held(engine, (own) => own.beginNested(async () => engine.execute(ONE))),
    ],
    ['connection.run(work)', (engine) => held(engine, (own) => own.run(async () => engine.execute(ONE)))],
  ])('is a PoolDeadlockError, at once: %s', async (_way, run) => {
    const engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0, poolTimeout: 60_000 });
    expect(await failureOf(run(engine))).toBeInstanceOf(PoolDeadlockError);
    expect([engine.pool.checkedOut(), engine.pool.waiting()]).toEqual([0, 0]);
    await engine.aclose();
  });
});

describe('work that its holder does not wait for', () => {
  /** Longer than a suspected deadlock is looked at. */
  const elsewhere = () => new Promise((resolve) => setTimeout(resolve, 1_000));

  it.each<[string, (engine: AsyncEngine, fire: () => void) => Promise<unknown>]>([
    [
      'a transaction',
      (engine, fire) =>
        engine.transaction(async () => {
          await engine.execute(ONE);
          fire();
          await elsewhere();
        }),
    ],
    [
      'engine.connect(work)',
      (engine, fire) =>
        engine.connect(async (connection) => {
          await connection.execute(ONE);
          fire();
          await elsewhere();
        }),
    ],
    [
      'the loop over a stream',
      async (engine, fire) => {
        for await (const _row of engine.stream(rows)) {
          fire();
          await elsewhere();
          break;
        }
      },
    ],
  ])('gets its connection though the holder is busy elsewhere for a second: %s', async (_way, run) => {
    const engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0, poolTimeout: 60_000 });
    let fired: Promise<unknown> = Promise.resolve();
    await run(engine, () => {
      fired = engine.transaction(() => engine.scalar(text('SELECT 7')), { propagation: 'requires-new' });
    });
    expect(await fired).toBe(7);
    await engine.aclose();
  });
});
