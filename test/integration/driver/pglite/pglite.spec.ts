import { PGlite } from '@electric-sql/pglite';
import {
  type AsyncEngine,
  ConnectionLostError,
  createAsyncEngine,
  NotSupportedError,
  NullPool,
  OperationalError,
  PoolDeadlockError,
  ResourceClosedError,
  sql,
  text,
  TransactionTimeoutError,
  UniqueViolationError,
} from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { failureOf } from '../../../support/items.js';
import { eventually, Latch } from '../../../support/process/barrier.js';
import { crash } from '../../../support/server/pglite.js';
import { visibleNames } from '../../../support/process/outcome.js';

const MEMORY = 'postgresql+pglite://';
/** An instance takes seconds to make, and many of them where the machine is busy. */
const PATIENCE = 120_000;

// One instance for the whole file: each costs seconds and 700 MB.
let engine: AsyncEngine;

const insert = (name: string) => sql`INSERT INTO item VALUES (${name})`;

beforeAll(async () => {
  engine = createAsyncEngine(MEMORY);
  await engine.execute(text('CREATE TABLE item (name TEXT PRIMARY KEY)'));
}, PATIENCE);
beforeEach(async () => {
  await engine.execute(text('TRUNCATE item'));
});
afterEach(() => expect(engine.pool.checkedOut()).toBe(0));
afterAll(() => engine.aclose());

describe('an engine on PGlite', () => {
  it('says its driver and lends one connection at a time', () => {
    expect([engine.driver, engine.pool.name, engine.pool.size(), engine.pool.overflow()]).toEqual([
      'pglite',
      'QueuePool',
      1,
      0,
    ]);
  });

  it('keeps transactions that run at once apart: one waits for the other', async () => {
    const hasInserted = new Latch();
    const mayFail = new Latch();
    const first = engine.transaction(async () => {
      await engine.execute(insert('undone'));
      hasInserted.open();
      await mayFail.opened;
      throw new Error('undo');
    });
    await hasInserted.opened;
    const second = engine.transaction(async () => {
      await engine.execute(insert('kept'));
      return await visibleNames(engine);
    });
    await eventually(() => expect(engine.pool.waiting()).toBe(1));
    mayFail.open();
    await expect(first).rejects.toThrow('undo');
    expect(await second).toEqual(['kept']);
    expect(await visibleNames(engine)).toEqual(['kept']);
  });

  it('lets a statement without a transaction wait for the transaction of another', async () => {
    const mayCommit = new Latch();
    const hasInserted = new Latch();
    const writing = engine.transaction(async () => {
      await engine.execute(insert('a'));
      hasInserted.open();
      await mayCommit.opened;
    });
    await hasInserted.opened;
    const reading = visibleNames(engine);
    mayCommit.open();
    await writing;
    expect(await reading).toEqual(['a']);
  });

  it('refuses a second connection inside a transaction at once', async () => {
    await engine.transaction(async () => {
      await engine.execute(insert('outer'));
      const inner = engine.transaction(() => engine.execute(insert('inner')), {
        propagation: 'requires-new',
      });
      expect(await failureOf(inner)).toBeInstanceOf(PoolDeadlockError);
    });
    expect(await visibleNames(engine)).toEqual(['outer']);
  });

  it('nests transactions by savepoints', async () => {
    await engine.transaction(async () => {
      await engine.execute(insert('outer'));
      await failureOf(
        engine.transaction(async () => {
          await engine.execute(insert('inner'));
          await engine.execute(insert('outer'));
        }),
      );
    });
    expect(await visibleNames(engine)).toEqual(['outer']);
  });

  it('reports errors of the server in the same classes', async () => {
    await engine.execute(insert('a'));
    const error = await failureOf(engine.execute(insert('a')));
    expect(error).toBeInstanceOf(UniqueViolationError);
    expect(error).toMatchObject({ constraint: 'item_pkey', table: 'item', sqlState: '23505' });
  });

  it('streams by a cursor beside which other statements run', async () => {
    const seen = await engine.transaction(async () => {
      let count = 0;
      for await (const row of engine.stream<{ n: number }>(text('SELECT generate_series(1, 5000) AS n'))) {
        count += 1;
        if (row.n % 1_000 === 0) await engine.execute(insert(`row ${row.n}`));
      }
      return count;
    });
    expect([seen, (await visibleNames(engine)).length]).toEqual([5_000, 5]);
  });

  it('rolls back when the time of a transaction has passed, once its statement has ended', async () => {
    const late = engine.transaction(
      async () => {
        await engine.execute(insert('late'));
        await engine.execute(text('SELECT pg_sleep(0.1)'));
        await engine.execute(insert('later'));
      },
      { timeout: 50 },
    );
    expect(await failureOf(late)).toBeInstanceOf(TransactionTimeoutError);
    expect(await visibleNames(engine)).toEqual([]);
  });

  it('gives the PGlite instance to who asks for the raw connection', async () => {
    await engine.execute(insert('a'));
    const raw = await engine.rawConnection();
    const instance = raw.driverConnection as PGlite;
    expect(instance).toBeInstanceOf(PGlite);
    expect((await instance.query('SELECT * FROM item')).rows).toEqual([{ name: 'a' }]);
    await raw.close();
  });

  it('keeps the data in memory when it is disposed, and when a connection is invalidated', async () => {
    await engine.execute(insert('a'));
    await engine.dispose();
    const connection = await engine.connect();
    await connection.execute(insert('undone'));
    connection.invalidate();
    await connection.close();
    expect(await visibleNames(engine)).toEqual(['a']);
  });

  it('lets sessions take turns whatever the pool', { timeout: PATIENCE }, async () => {
    const other = createAsyncEngine(MEMORY, { poolClass: NullPool, connectArgs: { username: 'postgres' } });
    const [first, second] = await Promise.all([
      other.begin((connection) => connection.scalar(text('SELECT 1'))),
      other.begin((connection) => connection.scalar(text('SELECT 2'))),
    ]);
    await other.aclose();
    expect([first, second]).toEqual([1, 2]);
  });
});

describe('the end of PGlite', { timeout: PATIENCE }, () => {
  it('comes with aclose(), for good', async () => {
    const other = createAsyncEngine(MEMORY);
    const raw = await other.rawConnection();
    const instance = raw.driverConnection as PGlite;
    await raw.close();
    await other.aclose();
    expect(instance.closed).toBe(true);
    expect(await failureOf(other.execute(text('SELECT 1')))).toBeInstanceOf(ResourceClosedError);
  });

  it('waits for a connection on loan, and aclose() does not', async () => {
    const other = createAsyncEngine(MEMORY);
    const connection = await other.connect();
    const instance = (await connection.getRawConnection()).driverConnection as PGlite;
    await other.aclose();
    const answer = await connection.scalar(text('SELECT 1'));
    const wasOpen = !instance.closed;
    await connection.close();
    await expect.poll(() => instance.closed).toBe(true);
    expect([answer, wasOpen]).toEqual([1, true]);
  });

  it('by a crash loses what is in memory, and says so', async () => {
    const other = createAsyncEngine(MEMORY);
    const first = await crash(other);
    const then = await failureOf(other.execute(text('SELECT 1')));
    await other.aclose();
    expect(first).toBeInstanceOf(ConnectionLostError);
    expect(then).toBeInstanceOf(OperationalError);
    expect(then).toMatchObject({ message: expect.stringMatching(/has ended .*Make a new engine/) as string });
  });

  it.each([
    ['SELECT again(1)', 'a function that calls itself without end'],
    ["DO $$ BEGIN EXECUTE 'COPY (SELECT 1) TO PROGRAM ''cat'''; END $$", 'a COPY … PROGRAM out of sight'],
  ])('by %s, which returns without an answer, is an error for its caller and for all others', async (sql) => {
    const other = createAsyncEngine(MEMORY, { poolTimeout: 5_000 });
    await other.execute(
      text(
        'CREATE FUNCTION again(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN again(i + 1); END $$',
      ),
    );
    const answers = await Promise.all(
      [other.execute(text(sql)), other.execute(text('SELECT 1'))].map(failureOf),
    );
    await other.aclose();
    expect(answers[0]).toBeInstanceOf(ConnectionLostError);
    expect(answers[0]).toMatchObject({
      message: expect.stringContaining('the server of PGlite has ended') as string,
    });
    expect(answers[1]).toBeInstanceOf(OperationalError);
  });
});

describe('COPY over PGlite', { timeout: PATIENCE }, () => {
  it('gives rows, and refuses to wait for them', async () => {
    await engine.execute(insert('a'));
    const rows = await engine.copyTo('COPY item TO STDOUT').toArray();
    expect(Buffer.concat(rows).toString()).toBe('a\n');
    const copying = failureOf(engine.copyFrom('COPY item FROM STDIN', 'b\n'));
    expect(await copying).toBeInstanceOf(NotSupportedError);
    expect(await visibleNames(engine)).toEqual(['a']);
  });

  it.each(["COPY (SELECT 1) TO PROGRAM 'cat'", "/* all */ copy item from program 'cat'"])(
    '%s is refused before it runs, and the next statement works',
    async (sql) => {
      const other = createAsyncEngine(MEMORY);
      const failure = await failureOf(other.execute(text(sql)));
      const inside = await failureOf(
        other.transaction(async () => {
          await other.execute(text('CREATE TABLE lost (id int)'));
          await other.execute(text(sql));
        }),
      );
      const next = await other.scalar(text("SELECT to_regclass('lost') IS NULL AND 'copy to program' <> ''"));
      await other.aclose();
      for (const error of [failure, inside]) {
        expect(error).toBeInstanceOf(NotSupportedError);
        expect(error).toMatchObject({ sqlState: '0A000', hint: 'Use postgresql:// with a server.' });
      }
      expect(next).toBe(true);
    },
  );
});
