import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  IllegalStateError,
  InternalError,
  PoolTimeoutError,
  UniqueViolationError,
  sql,
  text,
} from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { rollbackEach } from 'nest-async-engine/testing';
import { Latch, eventually } from '../support/process/barrier.js';
import { ItemDatabase, failureOf, insert } from '../support/items.js';
import { TestRun } from './test-run.js';
import { visibleNames } from '../support/process/outcome.js';

let items: ItemDatabase;
let engine: AsyncEngine;
let run: TestRun;

beforeAll(async () => {
  items = await ItemDatabase.open('rollback_each');
});
beforeEach(() => {
  engine = items.engine();
  run = new TestRun(engine);
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const place = (name: string, value: number) => sql`INSERT INTO item (name, place) VALUES (${name}, ${value})`;

describe('rollbackEach undoes', () => {
  it('what a committed transaction has stored, which the test itself can see', async () => {
    const seen = await run.test(async () => {
      await engine.transaction(() => engine.execute(insert('a')));
      expect(await items.names()).toEqual([]);
      return await visibleNames(engine);
    });
    expect(seen).toEqual(['a']);
    expect(await visibleNames(engine)).toEqual([]);
  });

  it('what autocommitted statements have stored', async () => {
    const seen = await run.test(async () => {
      await engine.execute(insert('a'));
      return await visibleNames(engine);
    });
    expect([seen, await items.names()]).toEqual([['a'], []]);
  });

  it('what was done on connections of their own', async () => {
    const seen = await run.test(async () => {
      await engine.begin((connection) => connection.execute(insert('a')));
      await using connection = await engine.connect();
      await connection.execute(insert('b'));
      await connection.commit();
      await connection.execute(insert('c'));
      await connection.rollback();
      return await visibleNames(engine);
    });
    expect([seen, await items.names()]).toEqual([['a', 'b'], []]);
  });

  it('the rows of a COPY, which the test itself can copy out', async () => {
    const seen = await run.test(async () => {
      await engine.transaction(() => engine.copyFrom('COPY item (name) FROM STDIN', ['a\n', 'b\n']));
      await engine.copyFrom('COPY item (name) FROM STDIN', 'a\n').catch(() => undefined);
      return Buffer.concat(await engine.copyTo('COPY item (name) TO STDOUT').toArray()).toString();
    });
    expect([seen, await items.names()]).toEqual(['a\nb\n', []]);
  });

  it('tables that were made', async () => {
    await run.test(async () => {
      await engine.execute(text('CREATE TABLE made (id INT)'));
      await engine.execute(text('INSERT INTO made VALUES (1)'));
    });
    expect(await engine.scalar(sql`SELECT to_regclass('made')`)).toBeNull();
  });

  it('what prepared statements know of tables that are gone', async () => {
    const test = (type: string) =>
      run.test(async () => {
        await engine.execute(text(`CREATE TABLE made (value ${type})`));
        await engine.execute(text(`INSERT INTO made VALUES ('1')`));
        return await engine.scalar(sql`SELECT * FROM made`);
      });
    expect([await test('INT'), await test('TEXT')]).toEqual([1, '1']);
  });

  it('every test by itself', async () => {
    await run.test(() => engine.execute(insert('a')));
    await run.test(() => engine.execute(insert('a')));
    expect(await items.names()).toEqual([]);
  });
});

describe('inside rollbackEach', () => {
  it('a transaction that throws is undone and the test goes on', async () => {
    const seen = await run.test(async () => {
      await engine.execute(insert('before'));
      const failing = engine.transaction(async () => {
        await engine.execute(insert('lost'));
        await engine.execute(insert('before'));
      });
      expect(await failureOf(failing)).toBeInstanceOf(UniqueViolationError);
      await engine.execute(insert('after'));
      return await visibleNames(engine);
    });
    expect(seen).toEqual(['after', 'before']);
  });

  it('an autocommitted statement that fails takes nothing with it', async () => {
    const seen = await run.test(async () => {
      await engine.execute(insert('a'));
      expect(await failureOf(engine.execute(insert('a')))).toBeInstanceOf(UniqueViolationError);
      return await visibleNames(engine);
    });
    expect(seen).toEqual(['a']);
  });

  it('a batch is stored whole or undone alone, in a transaction or without one', async () => {
    const seen = await run.test(async () => {
      await engine.batch([insert('a'), insert('b')]);
      expect(await failureOf(engine.batch([insert('lost'), insert('a')]))).toBeInstanceOf(
        UniqueViolationError,
      );
      await engine.transaction(async () => {
        await engine.batch([insert('c'), insert('d')]);
        const nested = engine.transaction(() => engine.batch([insert('lost'), insert('a')]));
        expect(await failureOf(nested)).toBeInstanceOf(UniqueViolationError);
      });
      return await visibleNames(engine);
    });
    expect(seen).toEqual(['a', 'b', 'c', 'd']);
  });

  it('nested transactions are undone alone', async () => {
    const seen = await run.test(async () => {
      await engine.transaction(async () => {
        await engine.execute(insert('a'));
        await failureOf(engine.transaction(() => engine.execute(insert('a'))));
        await engine.transaction(() => engine.execute(insert('b')));
      });
      return await visibleNames(engine);
    });
    expect(seen).toEqual(['a', 'b']);
  });

  it('hooks run when the application commits or rolls back', async () => {
    const told: string[] = [];
    await run.test(async () => {
      await engine.transaction(async () => {
        await engine.execute(insert('a'));
        engine.afterCommit(async () => void told.push(`committed ${(await visibleNames(engine)).join()}`));
      });
      told.push('returned');
      const failing = engine.transaction(async () => {
        await engine.execute(insert('b'));
        engine.afterRollback(() => void told.push('rolled back'));
        engine.afterCommit(() => void told.push('never'));
        throw new IllegalStateError('on purpose');
      });
      await failureOf(failing);
    });
    expect(told).toEqual(['committed a', 'returned', 'rolled back']);
  });

  it('a deferred constraint refuses at the COMMIT of the application', async () => {
    const seen = await run.test(async () => {
      await engine.execute(place('a', 1));
      const moves: string[] = [];
      const swap = engine.transaction(async () => {
        await engine.execute(place('b', 1));
        moves.push('inserted');
      });
      expect(await failureOf(swap)).toBeInstanceOf(UniqueViolationError);
      // Deferred again for the next ones, which are right in the end.
      for (const [name, end] of [
        ['c', 2],
        ['d', 3],
      ] as const) {
        await engine.transaction(async () => {
          await engine.execute(place(name, 1));
          await engine.execute(sql`UPDATE item SET place = ${end} WHERE name = ${name}`);
        });
      }
      return [...moves, ...(await visibleNames(engine))];
    });
    expect(seen).toEqual(['inserted', 'a', 'c', 'd']);
  });

  it('a failed transaction refuses statements and says so at its end', async () => {
    await run.test(async () => {
      await using connection = await engine.connect();
      await failureOf(connection.execute(sql`SELECT 1 / 0`));
      expect(await failureOf(connection.execute(sql`SELECT 1`))).toBeInstanceOf(InternalError);
      await connection.rollback();
      expect(await connection.scalar(sql`SELECT 1`)).toBe(1);
    });
  });

  it('parallel transactions take turns', async () => {
    const told: string[] = [];
    await run.test(async () => {
      const work = (name: string) =>
        engine.transaction(async () => {
          await engine.execute(insert(name));
          told.push(`in ${name}`);
          await engine.execute(insert(`${name}2`));
          told.push(`out ${name}`);
        });
      await Promise.all([work('a'), work('b'), engine.execute(insert('c'))]);
    });
    expect(told).toEqual(['in a', 'out a', 'in b', 'out b']);
  });

  it('a read-only transaction refuses to write and lets others write meanwhile', async () => {
    const seen = await run.test(async () => {
      await engine.transaction(
        async () => {
          expect(await visibleNames(engine)).toEqual([]);
          await engine.host.runWithoutTransaction(() => engine.execute(insert('a')));
          expect(await visibleNames(engine)).toEqual(['a']);
          await failureOf(engine.transaction(() => engine.execute(insert('b'))));
          expect(await visibleNames(engine)).toEqual(['a']);
        },
        { readOnly: true },
      );
      await engine.execute(insert('c'));
      return await visibleNames(engine);
    });
    expect(seen).toEqual(['a', 'c']);
  });

  it('rows of a stream are written as they come', async () => {
    const seen = await run.test(async () => {
      const numbers = engine.stream<{ n: number }>(sql`SELECT n FROM generate_series(1, 25) n`, undefined, {
        yieldPer: 4,
      });
      for await (const { n } of numbers) {
        await engine.transaction(() => engine.execute(insert(`row ${n}`)));
        if (n % 2 === 0) await failureOf(engine.execute(insert(`row ${n}`)));
      }
      return await engine.scalar(sql`SELECT count(*)::INT FROM item`);
    });
    expect(seen).toBe(25);
  });

  it('a stream in a transaction goes on beside other statements of it', async () => {
    const seen = await run.test(() =>
      engine.transaction(async () => {
        const numbers = engine.stream<{ n: number }>(sql`SELECT n FROM generate_series(1, 5) n`, undefined, {
          yieldPer: 2,
        });
        for await (const { n } of numbers) await engine.execute(insert(`row ${n}`));
        return (await visibleNames(engine)).length;
      }),
    );
    expect(seen).toBe(5);
  });

  it('settings of a transaction end with it', async () => {
    const tenant = () => engine.scalar(sql`SELECT current_setting('app.tenant', TRUE)`);
    const seen = await run.test(async () => {
      const inside = await engine.transaction(tenant, { settings: { 'app.tenant': 'acme' } });
      return [inside, await tenant()];
    });
    expect(seen).toEqual(['acme', '']);
  });

  it('the deadline of a transaction cancels it, and the next one works', async () => {
    const seen = await run.test(async () => {
      const slow = engine.transaction(() => engine.execute(sql`SELECT pg_sleep(10)`), { timeout: 50 });
      await failureOf(slow);
      await engine.execute(insert('a'));
      return await visibleNames(engine);
    });
    expect(seen).toEqual(['a']);
  });

  it('BEGIN and COMMIT written by hand are savepoints, too', async () => {
    const seen = await run.test(async () => {
      const pooled = await engine.rawConnection();
      for (const statement of ['BEGIN', `INSERT INTO item (name) VALUES ('a')`, 'COMMIT'])
        await pooled.session.execute([], { text: statement });
      await pooled.close();
      return await visibleNames(engine);
    });
    expect([seen, await items.names()]).toEqual([['a'], []]);
  });

  it('a connection that is invalidated loses its transaction and nothing else', async () => {
    const seen = await run.test(async () => {
      await engine.execute(insert('a'));
      await using connection = await engine.connect();
      await connection.execute(insert('b'));
      connection.invalidate();
      await connection.rollback();
      await connection.execute(insert('c'));
      await connection.commit();
      return await visibleNames(engine);
    });
    expect(seen).toEqual(['a', 'c']);
  });

  it('code for the driver runs in the transaction around it', async () => {
    const seen = await run.test(async () => {
      await engine.connect(async (connection) => {
        await connection.run(async (client) => {
          await client.query('BEGIN');
          await client.query(`INSERT INTO item (name) VALUES ($1)`, ['a']);
          await client.query('COMMIT');
          await client.query('BEGIN');
          await client.query(`INSERT INTO item (name) VALUES ('b'); INSERT INTO item (name) VALUES ('c')`);
          await client.query('ROLLBACK');
        });
        await connection.commit();
      });
      return await visibleNames(engine);
    });
    expect([seen, await items.names()]).toEqual([['a'], []]);
  });

  it('an isolation level is taken', async () => {
    const seen = await run.test(async () => {
      await engine.transaction(() => engine.execute(insert('a')), { isolationLevel: 'SERIALIZABLE' });
      return await visibleNames(engine);
    });
    expect(seen).toEqual(['a']);
  });

  it('the rows of a list of parameters are stored or none', async () => {
    const many = text('INSERT INTO item (name) VALUES (:name)');
    const seen = await run.test(async () => {
      await engine.execute(many, [{ name: 'a' }, { name: 'b' }]);
      await failureOf(engine.execute(many, [{ name: 'c' }, { name: 'a' }]));
      return await visibleNames(engine);
    });
    expect(seen).toEqual(['a', 'b']);
  });

  it('the pool may be disposed and the engine closed', async () => {
    await run.test(async () => {
      await engine.execute(insert('a'));
      await engine.dispose();
      expect(await visibleNames(engine)).toEqual(['a']);
      await engine.aclose();
      await eventually(async () => expect(await items.database.sessions()).toEqual([]));
    });
    expect(await items.names()).toEqual([]);
  });
});

describe('a requires-new transaction inside rollbackEach', () => {
  it('is nested in the one around it', async () => {
    const seen = await run.test(async () => {
      await engine.transaction(async () => {
        await engine.execute(insert('a'));
        await engine.transaction(() => engine.execute(insert('b')), { propagation: 'requires-new' });
        await engine.execute(insert('c'));
      });
      return await visibleNames(engine);
    });
    expect(seen).toEqual(['a', 'b', 'c']);
  });

  it('fails the test when the one around it is undone', async () => {
    const lost = run.test(async () => {
      const failing = engine.transaction(async () => {
        await engine.execute(insert('a'));
        await engine.transaction(() => engine.execute(insert('b')), { propagation: 'requires-new' });
        throw new IllegalStateError('on purpose');
      });
      await failureOf(failing);
    });
    await expect(lost).rejects.toThrow(/should have outlived it \(requires-new/);
  });

  it('stores what is said about a failed transaction around it', async () => {
    const seen = await run.test(async () => {
      const failing = engine.transaction(async () => {
        await engine.execute(insert('a'));
        await failureOf(engine.execute(sql`SELECT 1 / 0`));
        await engine.transaction(() => engine.execute(insert('audit')), { propagation: 'requires-new' });
        throw new IllegalStateError('on purpose');
      });
      await failureOf(failing);
      return await visibleNames(engine);
    });
    expect(seen).toEqual(['audit']);
  });
});

describe('rollbackEach complains', () => {
  it('about a connection that the test has left checked out', async () => {
    run = new TestRun(engine, { settleTimeout: 50 });
    await run.begin();
    const connection = await engine.connect();
    await connection.execute(insert('left'));
    const failure = await failureOf(run.end('leaves one'));
    expect(String(failure)).toMatch(/'leaves one': it left 1 connection.*INSERT INTO item/s);
    await connection.close();
    expect(await items.names()).toEqual([]);
  });

  it('about a COMMIT behind its back', async () => {
    const behind = run.test(async () => {
      const pooled = await engine.rawConnection();
      const client = pooled.driverConnection as { query(statement: string): Promise<unknown> };
      await client.query('COMMIT');
      await pooled.close();
    });
    await expect(behind).rejects.toThrow(/ended the transaction around it/);
  });

  it('about a wait for a transaction that does not end', async () => {
    run = new TestRun(engine, { turnTimeout: 50 });
    const go = new Latch();
    const outcome = await run.test(async () => {
      const entered = new Latch();
      const open = engine.transaction(async () => {
        await engine.execute(insert('a'));
        entered.open();
        await go.opened;
      });
      await entered.opened;
      const failure = await failureOf(engine.execute(insert('b')));
      go.open();
      await open;
      return failure;
    });
    expect(outcome).toBeInstanceOf(PoolTimeoutError);
  });

  it('at once about a target that has no engine, and where there are no hooks', () => {
    expect(() => rollbackEach({} as AsyncEngine, { beforeEach, afterEach })).toThrow(ArgumentError);
    expect(() => rollbackEach(engine)).toThrow(/found no beforeEach/);
  });
});
