import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { NoActiveScopeError, text, UnexpectedRollbackError } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { Barrier, Latch } from '../../support/process/barrier.js';
import { failureOf, insert, MemoryLogger, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
let log: MemoryLogger;
beforeAll(async () => {
  items = await ItemDatabase.open('scope');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

function start(poolSize = 1): void {
  log = new MemoryLogger();
  engine = items.engine({ poolSize, logger: log, poolTimeout: 2_000, nestedWaitTimeout: 2_000 });
}

const PID = text('SELECT pg_backend_pid() AS pid');

describe('engine.scope()', () => {
  it('in which no statement runs takes no connection', async () => {
    start();
    const answer = await engine.scope(async () => {
      engine.currentConnection();
      await engine.transaction(() => Promise.resolve());
      return 'answer';
    });
    expect(answer).toBe('answer');
    expect(engine.pool.checkedIn()).toBe(0);
  });

  it('without a connection handed out: statements commit themselves, a transaction is a root', async () => {
    start();
    await failureOf(
      engine.scope(async () => {
        await engine.execute(insert('alone'));
        await engine.transaction(() => engine.execute(insert('root')));
        throw new Error('too late for them');
      }),
    );
    expect(await items.names()).toEqual(['alone', 'root']);
  });

  it('hands out one connection, and the whole scope is one transaction, stored at the end', async () => {
    start();
    await engine.scope(async () => {
      const connection = engine.currentConnection();
      expect(engine.currentConnection()).toBe(connection);
      await connection.execute(insert('connection'));
      await engine.execute(insert('engine'));
      await engine.transaction(() => engine.execute(insert('nested')));
      const pids = [await connection.scalar(PID), await engine.scalar(PID)];
      expect(new Set(pids).size).toBe(1);
      expect(await items.names()).toEqual([]);
    });
    expect(await items.names()).toEqual(['connection', 'engine', 'nested']);
  });

  it('is rolled back as a whole when it throws', async () => {
    start();
    const failure = await failureOf(
      engine.scope(async () => {
        await engine.currentConnection().execute(insert('connection'));
        await engine.transaction(() => engine.execute(insert('nested')));
        throw new Error('the reason');
      }),
    );
    expect(String(failure)).toContain('the reason');
    expect(await items.names()).toEqual([]);
  });

  it('that swallowed a failed statement is told at its commit', async () => {
    start();
    const failure = await failureOf(
      engine.scope(async () => {
        await engine.currentConnection().execute(insert('one'));
        await failureOf(engine.currentConnection().execute(insert('one')));
      }),
    );
    expect(failure).toBeInstanceOf(UnexpectedRollbackError);
  });

  it("with commit 'explicit' stores what was committed, and warns of the rest by its label", async () => {
    start();
    await engine.scope(
      async () => {
        const connection = engine.currentConnection();
        await connection.execute(insert('committed'));
        await connection.commit();
        await connection.execute(insert('forgotten'));
      },
      { commit: 'explicit', label: 'GET /orders' },
    );
    expect(await items.names()).toEqual(['committed']);
    expect(log.warnings).toHaveLength(1);
    expect(log.warnings[0]).toContain('GET /orders');
  });

  it("with commit 'explicit' a transaction nests in one in progress and is a root without", async () => {
    start();
    await engine.scope(
      async () => {
        const connection = engine.currentConnection();
        await engine.transaction(() => engine.execute(insert('root')));
        expect(await items.names()).toEqual(['root']);
        await connection.execute(insert('own'));
        await engine.transaction(() => engine.execute(insert('nested')));
        await connection.rollback();
      },
      { commit: 'explicit' },
    );
    expect(await items.names()).toEqual(['root']);
    expect(log.warnings).toEqual([]);
  });
});

describe('roots in parallel in one scope', () => {
  const roots = async (meet: Barrier | undefined): Promise<unknown[]> => {
    const pids = await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        engine.transaction(async () => {
          await engine.execute(insert(name));
          await meet?.arrive();
          return await engine.scalar(PID);
        }),
      ),
    );
    return [...new Set(pids)];
  };

  it('run side by side on connections of their own', async () => {
    start(3);
    // They could not meet if one waited for the other.
    const pids = await engine.scope(() => roots(new Barrier(3)));
    expect(pids).toHaveLength(3);
    expect(await items.names()).toEqual(['a', 'b', 'c']);
  });

  it('run one after the other on the connection that was handed out', async () => {
    start(3);
    const pids = await engine.scope(
      () => {
        engine.currentConnection();
        return roots(undefined);
      },
      { commit: 'explicit' },
    );
    expect(pids).toHaveLength(1);
    expect(await items.names()).toEqual(['a', 'b', 'c']);
  });

  it('a statement of the handle does not slip into a root of somebody else', async () => {
    start();
    await engine.scope(
      async () => {
        const connection = engine.currentConnection();
        const inside = new Latch();
        const leave = new Latch();
        const root = failureOf(
          engine.transaction(async () => {
            await engine.execute(insert('root'));
            inside.open();
            await leave.opened;
            throw new Error('undo');
          }),
        );
        await inside.opened;
        const own = connection.execute(insert('own'));
        leave.open();
        await Promise.all([own, root]);
        await connection.commit();
      },
      { commit: 'explicit' },
    );
    expect(await items.names()).toEqual(['own']);
  });

  for (const commit of ['onSuccess', 'explicit'] as const) {
    it(`what 'not-supported' sets aside is not waited for by a root inside it (${commit})`, async () => {
      start(2);
      await engine.scope(
        async () => {
          const connection = engine.currentConnection();
          await connection.execute(insert('own'));
          await engine.transaction(() => engine.transaction(() => engine.execute(insert('beside'))), {
            propagation: 'not-supported',
          });
          await connection.rollback();
        },
        { commit },
      );
      expect(await items.names()).toEqual(['beside']);
    });
  }

  it("'not-supported' in a root on the connection that was handed out opens another one", async () => {
    start(2);
    await engine.scope(
      async () => {
        engine.currentConnection();
        await failureOf(
          engine.transaction(async () => {
            await engine.execute(insert('root'));
            await engine.transaction(() => engine.transaction(() => engine.execute(insert('beside'))), {
              propagation: 'not-supported',
            });
            throw new Error('undo');
          }),
        );
      },
      { commit: 'explicit' },
    );
    expect(await items.names()).toEqual(['beside']);
  });
});

it('outside of every scope and transaction there is no current connection', () => {
  start();
  expect(() => engine.currentConnection()).toThrow(NoActiveScopeError);
  expect(engine.tryCurrentConnection()).toBeUndefined();
});
