import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { IllegalStateError, sql, text } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { ItemDatabase, failureOf, insert } from '../support/items.js';
import { TestRun } from './test-run.js';
import { visibleNames } from '../support/process/outcome.js';

let items: ItemDatabase;
let engine: AsyncEngine;
let run: TestRun;

beforeAll(async () => {
  items = await ItemDatabase.open('rollback_commit');
  await items.database.query(
    `CREATE FUNCTION note() RETURNS void LANGUAGE sql AS $$ INSERT INTO item (name) VALUES ('noted') $$;
     CREATE PROCEDURE note_down() LANGUAGE sql AS $$ INSERT INTO item (name) VALUES ('noted') $$`,
  );
});
beforeEach(() => {
  engine = items.engine();
  run = new TestRun(engine);
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const advisoryLocks = () =>
  engine.scalar<number>(
    text("SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"),
  );

describe("the application's COMMIT inside rollbackEach", () => {
  it.each([
    ['drops', 'CREATE TEMP TABLE batch (v text) ON COMMIT DROP'],
    ['drops', 'CREATE TEMPORARY TABLE IF NOT EXISTS "Batch" (v text, w int) ON COMMIT DROP'],
    ['drops', 'CREATE TEMP TABLE pg_temp.batch ON COMMIT DROP AS SELECT 1 AS v'],
    ['drops', "CREATE TEMP TABLE batch (v text DEFAULT 'a;b') ON /* now */ COMMIT DROP"],
    ['closes', 'DECLARE rows CURSOR FOR SELECT 1'],
    ['closes', 'DECLARE "Rows" NO SCROLL CURSOR FOR SELECT 1'],
  ])('%s what ends with it: %s', async (_, statement) => {
    const work = () => engine.execute(text(statement));
    const again = run.test(async () => {
      await engine.transaction(work);
      await engine.transaction(work);
    });
    await expect(again).resolves.toBeUndefined();
  });

  it('leaves alone what a value, a comment or a body of a function says', async () => {
    const said = 'CREATE TEMP TABLE item (v int) ON COMMIT DROP; SELECT pg_advisory_xact_lock(7)';
    const [stored, body, held] = await run.test(async () => {
      await engine.execute(text(`INSERT INTO item (name) VALUES ('${said}') -- ${said}`));
      await engine.execute(text(`CREATE FUNCTION locks() RETURNS void LANGUAGE sql AS $$ ${said} $$`));
      const prosrc = await engine.scalar(text("SELECT prosrc FROM pg_proc WHERE proname = 'locks'"));
      return [await visibleNames(engine), prosrc, await advisoryLocks()];
    });
    expect([stored, body, held]).toEqual([[said], ` ${said} `, 0]);
  });

  it('keeps a table that has the name of one that was undone', async () => {
    const isThere = await run.test(async () => {
      await engine.transaction(async () => {
        const undone = engine.transaction(async () => {
          await engine.execute(text('CREATE TEMP TABLE kept (v text) ON COMMIT DROP'));
          throw new Error('undo');
        });
        await failureOf(undone);
        await engine.execute(text('CREATE TEMP TABLE kept (v text)'));
      });
      return await engine.scalar(text("SELECT to_regclass('pg_temp.kept') IS NOT NULL"));
    });
    expect(isThere).toBe(true);
  });

  it('drops all tables of a script, and empties one that was renamed', async () => {
    const count = await run.test(async () => {
      const script = 'CREATE TEMP TABLE a (v int) ON COMMIT DROP; CREATE TEMP TABLE b (v int) ON COMMIT DROP';
      for (const _ of [1, 2])
        await engine.begin((connection) => connection.run((client) => client.query(script)));
      await engine.execute(text('CREATE TEMP TABLE c (v int) ON COMMIT DELETE ROWS'));
      await engine.execute(text('ALTER TABLE c RENAME TO d'));
      await engine.execute(text('INSERT INTO d VALUES (1)'));
      return await engine.scalar(text('SELECT count(*)::int FROM d'));
    });
    expect(count).toBe(0);
  });

  it('empties a temporary table of ON COMMIT DELETE ROWS, each time', async () => {
    const counts = await run.test(async () => {
      await engine.transaction(() =>
        engine.execute(text('CREATE TEMP TABLE t (v int) ON COMMIT DELETE ROWS')),
      );
      const seen: unknown[] = [];
      for (const value of [1, 2]) {
        await engine.transaction(async () => {
          await engine.execute(sql`INSERT INTO pg_temp.t VALUES (${value})`);
          seen.push(await engine.scalar(sql`SELECT count(*)::int FROM t`));
        });
        seen.push(await engine.scalar(sql`SELECT count(*)::int FROM t`));
      }
      return seen;
    });
    expect(counts).toEqual([1, 0, 1, 0]);
  });

  it.each([
    'SELECT pg_advisory_xact_lock(7)',
    'SELECT pg_advisory_xact_lock_shared(7), pg_advisory_xact_lock(1, -2)',
    'SELECT "pg_advisory_xact_lock"(7), "pg_catalog" . pg_advisory_xact_lock (8)',
    'SELECT pg_catalog.pg_try_advisory_xact_lock(9223372036854775807) FROM generate_series(1, 3)',
  ])('gives back the advisory locks of the transaction: %s', async (statement) => {
    const held = await run.test(async () => {
      const during = await engine.transaction(async () => {
        await engine.execute(text(statement));
        return await advisoryLocks();
      });
      await failureOf(
        engine.transaction(async () => {
          await engine.execute(text(statement));
          throw new IllegalStateError('on purpose');
        }),
      );
      return [during, await advisoryLocks()];
    });
    expect(held[0]).toBeGreaterThan(0);
    expect(held[1]).toBe(0);
  });

  it('keeps the name of the column and an advisory lock of the session', async () => {
    const [row, held] = await run.test(async () => {
      await engine.execute(text('SELECT pg_advisory_lock(8)'));
      const got = await engine.transaction(() =>
        engine.execute(text('SELECT pg_try_advisory_xact_lock(7)')).one(),
      );
      return [got, await advisoryLocks()];
    });
    expect([row, held]).toEqual([{ pg_try_advisory_xact_lock: true }, 1]);
  });

  it('leaves nothing of the session to the next borrower', async () => {
    await run.test(async () => {
      await engine.execute(text('SELECT pg_advisory_lock(7)'));
      await engine.execute(text('PREPARE mine AS SELECT 1'));
      await engine.execute(text('LISTEN mine'));
    });
    const left = await engine.scalar(
      text(`SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')
        + (SELECT count(*) FROM pg_prepared_statements WHERE from_sql)
        + (SELECT count(*) FROM pg_listening_channels())`),
    );
    expect(Number(left)).toBe(0);
  });
});

describe('an isolation level that is set by a statement inside rollbackEach', () => {
  it.each([
    'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE',
    '/* report */ set local transaction_isolation = serializable',
    'SET LOCAL "transaction_isolation" TO serializable',
    'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE, DEFERRABLE',
  ])('is taken: %s', async (statement) => {
    const seen = await run.test(async () => {
      await engine.transaction(async () => {
        await engine.execute(text(statement));
        await engine.execute(insert('a'));
      });
      return await visibleNames(engine);
    });
    expect(seen).toEqual(['a']);
  });

  it('makes the transaction read only where it says so', async () => {
    await run.test(async () => {
      const refused = await failureOf(
        engine.transaction(async () => {
          await engine.execute(text('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY'));
          await engine.execute(insert('a'));
        }),
      );
      expect(refused).toMatchObject({ sqlState: '25006' });
      await engine.execute(insert('b'));
    });
  });
});

describe('a transaction that should outlive the one around it', () => {
  it.each([
    'WITH a AS (INSERT INTO item (name) VALUES ($$a$$) RETURNING name) SELECT name FROM a',
    'SELECT note()',
    "DO $$ BEGIN INSERT INTO item (name) VALUES ('a'); END $$",
    'CALL note_down()',
    'CREATE TABLE fresh (v int)',
    'TRUNCATE item',
  ])('fails the test when it is undone, whatever it wrote by: %s', async (write) => {
    for (const propagation of ['requires-new', 'not-supported'] as const) {
      const lost = run.test(() =>
        failureOf(
          engine.transaction(async () => {
            await engine.execute(text('SELECT 1'));
            await engine.transaction(() => engine.execute(text(write)), { propagation });
            throw new IllegalStateError('on purpose');
          }),
        ),
      );
      await expect(lost).rejects.toThrow(/should have outlived it/);
    }
  });

  it('does not fail it when it has only read', async () => {
    const failure = run.test(() =>
      failureOf(
        engine.transaction(async () => {
          await engine.execute(insert('a'));
          await engine.transaction(() => engine.execute(text('SELECT pg_advisory_xact_lock(7)')), {
            propagation: 'requires-new',
          });
          throw new IllegalStateError('on purpose');
        }),
      ),
    );
    await expect(failure).resolves.toMatchObject({ message: 'on purpose' });
  });
});
