import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { NoActiveScopeError, ScopeEndedError, text, UnexpectedRollbackError } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { Barrier, Latch } from '../support/barrier.js';
import { failureOf, insert, LogBook, TransactionWorkshop } from '../support/transaction-workshop.js';

let workshop: TransactionWorkshop;
let engine: AsyncEngine;
let log: LogBook;
beforeAll(async () => {
  workshop = await TransactionWorkshop.open('scope');
});
afterEach(() => workshop.tidyUp());
afterAll(() => workshop.close());

function start(poolSize = 1): void {
  log = new LogBook();
  engine = workshop.engine({ poolSize, logger: log, poolTimeout: 2_000, nestedWaitTimeout: 2_000 });
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
    expect(await workshop.names()).toEqual(['alone', 'root']);
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
      expect(await workshop.names()).toEqual([]);
    });
    expect(await workshop.names()).toEqual(['connection', 'engine', 'nested']);
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
    expect(await workshop.names()).toEqual([]);
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
    expect(await workshop.names()).toEqual(['committed']);
    expect(log.warnings).toHaveLength(1);
    expect(log.warnings[0]).toContain('GET /orders');
  });

  it("with commit 'explicit' a transaction nests in one in progress and is a root without", async () => {
    start();
    await engine.scope(
      async () => {
        const connection = engine.currentConnection();
        await engine.transaction(() => engine.execute(insert('root')));
        expect(await workshop.names()).toEqual(['root']);
        await connection.execute(insert('own'));
        await engine.transaction(() => engine.execute(insert('nested')));
        await connection.rollback();
      },
      { commit: 'explicit' },
    );
    expect(await workshop.names()).toEqual(['root']);
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
    expect(await workshop.names()).toEqual(['a', 'b', 'c']);
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
    expect(await workshop.names()).toEqual(['a', 'b', 'c']);
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
    expect(await workshop.names()).toEqual(['own']);
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
      expect(await workshop.names()).toEqual(['beside']);
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
    expect(await workshop.names()).toEqual(['beside']);
  });
});

describe('the end of a scope', () => {
  it('refuses what comes later, by its label', async () => {
    start();
    const over = new Latch();
    const { late } = await engine.scope(
      async () => {
        const connection = engine.currentConnection();
        await connection.execute(insert('in time'));
        const then = <T>(work: () => PromiseLike<T>): Promise<unknown> => failureOf(over.opened.then(work));
        return {
          late: Promise.all([
            then(() => engine.execute(insert('late'))),
            then(() => engine.transaction(() => engine.execute(insert('late')))),
            then(async () => engine.currentConnection()),
            then(() => engine.stream(text('SELECT 1')).all()),
          ]),
        };
      },
      { label: 'job 7' },
    );
    over.open();
    for (const failure of await late) {
      expect(failure).toBeInstanceOf(ScopeEndedError);
      expect(String(failure)).toContain('job 7');
    }
    expect(await workshop.names()).toEqual(['in time']);
  });

  it('comes with the last lease', async () => {
    start();
    const scope = engine.openScope({ label: 'request' });
    const [handler, response] = [scope.lease(), scope.lease()];
    await scope.run(() => engine.currentConnection().execute(insert('one')));
    await handler.release();
    await handler.release();
    expect(scope.isOpen).toBe(true);
    expect(engine.pool.checkedOut()).toBe(1);
    await scope.complete();
    await response.release();
    expect(scope.isOpen).toBe(false);
    expect(() => scope.lease()).toThrow(ScopeEndedError);
    expect(await workshop.names()).toEqual(['one']);
  });

  it('without complete() is a rollback', async () => {
    start();
    const scope = engine.openScope();
    const lease = scope.lease();
    await scope.run(() => engine.currentConnection().execute(insert('undone')));
    await lease.release();
    expect(await workshop.names()).toEqual([]);
  });

  it('waits for an open transaction and for an open stream', async () => {
    start(2);
    const scope = engine.openScope();
    const lease = scope.lease();
    const over = new Latch();
    const inside = new Latch();
    const transaction = scope.run(() =>
      engine.transaction(async () => {
        await engine.execute(insert('one'));
        inside.open();
        await over.opened;
        await engine.execute(insert('two'));
      }),
    );
    await inside.opened;
    const rows = scope.run(() => engine.stream(text('SELECT * FROM GENERATE_SERIES(1, 5000) AS n')));
    await rows.fetchMany(1);
    await lease.release();
    expect(scope.isOpen).toBe(true);
    over.open();
    await transaction;
    expect(scope.isOpen).toBe(true);
    await rows.close();
    expect(scope.isOpen).toBe(false);
    expect(await workshop.names()).toEqual(['one', 'two']);
  });

  for (const end of ['complete', 'fail'] as const) {
    it(`after ${end}() statements commit themselves, on a pool of 1 too`, async () => {
      start();
      const scope = engine.openScope();
      const lease = scope.lease();
      const connection = await scope.run(async () => {
        await engine.currentConnection().execute(insert('unit'));
        return engine.currentConnection();
      });
      await scope[end]();
      await scope.run(async () => {
        await connection.execute(insert('by the handle'));
        await engine.execute(insert('by the engine'));
        await engine.transaction(() => engine.execute(insert('root')));
        expect(engine.pool.checkedOut()).toBe(0);
      });
      const expected = ['by the engine', 'by the handle', 'root'];
      expect(await workshop.names()).toEqual(end === 'complete' ? [...expected, 'unit'] : expected);
      await lease.release();
    });
  }

  it('that began by hand after the unit ended is settled too', async () => {
    start();
    await engine.scope(async () => {
      const connection = engine.currentConnection();
      await connection.execute(insert('first'));
      await connection.commit();
      await connection.execute(insert('second'));
    });
    expect(await workshop.names()).toEqual(['first', 'second']);
  });

  it('is a clean one when its connection was lost', async () => {
    start();
    const failure = await failureOf(
      engine.scope(async () => {
        const connection = engine.currentConnection();
        const pid = await connection.scalar(PID);
        await workshop.database.query('SELECT pg_terminate_backend($1)', [pid]);
        await failureOf(connection.execute(insert('lost')));
      }),
    );
    expect(failure).toBeInstanceOf(Error);
    expect(engine.pool.checkedOut()).toBe(0);
    expect(await workshop.names()).toEqual([]);
  });
});

it('outside of every scope and transaction there is no current connection', () => {
  start();
  expect(() => engine.currentConnection()).toThrow(NoActiveScopeError);
  expect(engine.tryCurrentConnection()).toBeUndefined();
});
