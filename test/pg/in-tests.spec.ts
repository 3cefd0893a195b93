import type { Pool } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createAsyncEngine } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { asPool } from 'nest-async-engine/pg';
import { recordSql } from 'nest-async-engine/testing';
import { failureOf, insert, ItemDatabase } from '../support/items.js';
import { TestRun } from '../testing/test-run.js';
import { visibleNames } from '../support/process/outcome.js';

const add = (name: string) => `INSERT INTO item (name) VALUES ('${name}')`;

let items: ItemDatabase;
let engine: AsyncEngine;
let pool: Pool;
let run: TestRun;
beforeAll(async () => {
  items = await ItemDatabase.open('as_pool_tests');
});
beforeEach(() => {
  engine = items.engine();
  pool = asPool(engine);
  run = new TestRun(engine);
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

async function inTurn(...texts: string[]): Promise<void> {
  const client = await pool.connect();
  try {
    for (const text of texts) await client.query(text);
  } finally {
    client.release();
  }
}

describe('a pool of pg inside rollbackEach()', () => {
  it('stores what the test can see, and the end of the test undoes it', async () => {
    const seen = await run.test(async () => {
      await pool.query(add('plain'));
      await inTurn(
        'BEGIN',
        add('kept'),
        'SAVEPOINT a',
        add('undone'),
        'ROLLBACK TO a',
        'RELEASE a',
        'COMMIT',
      );
      await inTurn('BEGIN', add('undone'), 'ROLLBACK');
      await inTurn(`BEGIN; ${add('script')}; COMMIT`);
      expect(await items.names()).toEqual([]);
      return await visibleNames(engine);
    });
    expect(seen).toEqual(['kept', 'plain', 'script']);
    expect(await items.names()).toEqual([]);
  });

  it('is part of a transaction of the application', async () => {
    const seen = await run.test(async () => {
      await failureOf(
        engine.transaction(async () => {
          await inTurn('BEGIN', add('undone'), 'COMMIT');
          throw new Error('undone');
        }),
      );
      await engine.transaction(async () => {
        await inTurn('BEGIN', add('kept'), 'COMMIT');
        await engine.execute(insert('own'));
      });
      return await visibleNames(engine);
    });
    expect([seen, await items.names()]).toEqual([['kept', 'own'], []]);
  });

  it('a statement that fails undoes itself alone, and a transaction that failed is told at COMMIT', async () => {
    const seen = await run.test(async () => {
      await pool.query(add('kept'));
      expect(await failureOf(pool.query(add('kept')))).toMatchObject({ code: '23505' });
      await failureOf(inTurn('BEGIN', add('undone'), add('undone')));
      return await visibleNames(engine);
    });
    expect(seen).toEqual(['kept']);
  });

  it('has its turn in the log of recordSql()', async () => {
    using log = recordSql(engine);
    await engine.transaction(async () => {
      await inTurn('BEGIN', add('kept'), 'COMMIT');
    });
    expect(log.texts).toEqual(['BEGIN', expect.stringMatching(/^SAVEPOINT /), 'COMMIT']);
  });
});

describe('over PGlite', () => {
  it('a pool of pg works, inside a transaction and outside', async () => {
    await using lite = createAsyncEngine('postgresql+pglite://');
    const own = asPool(lite);
    await own.query('CREATE TABLE item (name text)');
    await lite.transaction(async () => {
      const client = await own.connect();
      await client.query('BEGIN');
      await client.query(add('undone'));
      await client.query('ROLLBACK');
      await client.query(add('kept'));
      client.release();
    });
    expect((await own.query('SELECT name FROM item')).rows).toEqual([{ name: 'kept' }]);
    expect(lite.pool.checkedOut()).toBe(0);
  }, 60_000);
});
