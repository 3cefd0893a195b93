import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { text } from 'nest-async-engine/engine';
import type { AsyncConnection, AsyncEngine, ExecutionOptions, ScopeOptions } from 'nest-async-engine/engine';
import { insert, ItemDatabase } from '../../support/items.js';
import { eventually } from '../../support/process/barrier.js';

const count = text('SELECT count(*)::int AS n FROM item');
const AUTOCOMMIT: ExecutionOptions = { isolationLevel: 'AUTOCOMMIT' };
const LOCK = 7_001;

let items: ItemDatabase;
let engine: AsyncEngine;
beforeAll(async () => {
  items = await ItemDatabase.open('scope_reads');
});
beforeEach(() => {
  engine = items.engine({ poolSize: 2 });
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const countOn = (connection: AsyncConnection): Promise<number> =>
  connection.execute(count).scalarOne<number>();

/** Runs `work` in a scope whose statements commit themselves. */
const inScope = <T>(
  work: (connection: AsyncConnection) => Promise<T>,
  connection: ScopeOptions['connection'] = () => AUTOCOMMIT,
): Promise<T> => engine.scope(() => work(engine.currentConnection()), { commit: 'explicit', connection });

/** By then the engine knows that the read is a quick one. */
async function learn(): Promise<void> {
  for (let run = 0; run < 5; run += 1) await inScope(countOn);
}

describe('A read on the AUTOCOMMIT connection of a scope', () => {
  it('shares sessions with those of other scopes: none waits for a session of its own', async () => {
    await learn();
    const reads = Array.from({ length: 16 }, () => inScope(countOn));
    expect(engine.pool.waiting()).toBe(0);
    expect(engine.pool.checkedOut()).toBe(1);
    expect(await Promise.all(reads)).toEqual(Array(16).fill(0));
  });

  it('keeps no session while the scope goes on', async () => {
    await inScope(async (connection) => {
      expect(await countOn(connection)).toBe(0);
      expect(engine.pool.checkedOut()).toBe(0);
    });
  });

  it('runs where the scope has a session already, and sees what that session alone has', async () => {
    await learn();
    const seen = await inScope(async (connection) => {
      await connection.execute(text('CREATE TEMPORARY TABLE item AS SELECT generate_series(1, 3)'));
      expect(engine.pool.checkedOut()).toBe(1);
      return await Promise.all([countOn(connection), countOn(connection)]);
    });
    expect(seen).toEqual([3, 3]);
    expect(await inScope(countOn)).toBe(0);
  });

  it('waits for a write in front of it, as on any connection', async () => {
    await learn();
    const keeper = await engine.connect();
    await keeper.execute(text(`SELECT pg_advisory_xact_lock(${LOCK})`));
    const seen = inScope(async (connection) => {
      const written = connection.execute(
        text(`INSERT INTO item SELECT 'late' FROM (SELECT pg_advisory_xact_lock(${LOCK})) locked`),
      );
      const read = countOn(connection);
      await written;
      return await read;
    });
    await eventually(async () => {
      const waiting = await items.database.query(
        "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted",
      );
      expect(waiting).toHaveLength(1);
    });
    await keeper.close();
    expect(await seen).toBe(1);
  });

  it('runs with the settings of the connection', async () => {
    await items.database.query('CREATE SCHEMA other; CREATE TABLE other.item AS SELECT 1 AS n');
    await learn();
    const settings = { search_path: 'other' };
    expect(await inScope(countOn, () => ({ ...AUTOCOMMIT, settings }))).toBe(1);
    expect(await inScope(countOn)).toBe(0);
    await items.database.query('DROP SCHEMA other CASCADE');
  });

  it('is followed by a transaction where the connection no longer commits each statement', async () => {
    await learn();
    await inScope(async (connection) => {
      expect(await countOn(connection)).toBe(0);
      await connection.executionOptions({ isolationLevel: 'READ COMMITTED' });
      await connection.execute(insert('mine'));
      expect(await countOn(connection)).toBe(1);
      await connection.rollback();
    });
    expect(await items.names()).toEqual([]);
  });

  it('is told of as one of the connection where somebody listens to that', async () => {
    await learn();
    const told: (AsyncConnection | undefined)[] = [];
    await inScope(async (connection) => {
      connection.on(
        'afterExecute',
        (event) => void told.push(event.connection as AsyncConnection | undefined),
      );
      await countOn(connection);
      expect(told).toEqual([connection]);
    });
  });
});
