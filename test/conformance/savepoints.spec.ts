import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DBAPIError, PendingRollbackError, text, TransactionEndedError } from 'nest-async-engine/engine';
import type { AsyncConnection } from 'nest-async-engine/engine';
import { failureOf, MemoryLogger } from '../support/items.js';
import { countUsers, deleteUsers, insertUser, UsersTable } from './support/users.js';

let filled: UsersTable;
let users: UsersTable;
beforeAll(async () => {
  filled = await UsersTable.open('savepoints_f1', 19);
  users = await UsersTable.open('savepoints');
});
afterEach(async () => {
  await filled.expectClean();
  await users.expectClean();
});
afterAll(async () => {
  await filled.close();
  await users.close();
});

const count = (connection: AsyncConnection): Promise<unknown> => connection.scalar(countUsers);

describe('the handles of a connection', () => {
  it('AE-24: getTransaction() and its like follow begin, beginNested and their ends', async () => {
    await users.engine().connect(async (connection) => {
      const seen = () => [connection.inTransaction(), connection.inNestedTransaction()];
      expect(connection.getTransaction()).toBeUndefined();
      expect(seen()).toEqual([false, false]);
      const root = await connection.begin();
      expect(connection.getTransaction()).toBe(root);
      expect(seen()).toEqual([true, false]);
      const nested = await connection.beginNested();
      expect(seen()).toEqual([true, true]);
      expect(connection.getNestedTransaction()).toBe(nested);
      expect(connection.getTransaction()).toBe(root);
      await nested.commit();
      expect(seen()).toEqual([true, false]);
      await root.rollback();
      expect(connection.getTransaction()).toBeUndefined();
      expect(seen()).toEqual([false, false]);
    });
  });

  it('AE-16: getTransaction() gives the handle itself, whose connection is the connection', async () => {
    await users.engine().connect(async (connection) => {
      await connection.begin(async (transaction) => {
        expect(connection.getTransaction()).toBe(transaction);
        expect(transaction.connection).toBe(connection);
      });
    });
  });

  it('AE-114: getNestedTransaction() is the innermost one, and the one around it afterwards', async () => {
    await users.engine().connect(async (connection) => {
      const root = await connection.begin();
      const first = await connection.beginNested();
      expect(connection.getNestedTransaction()).toBe(first);
      const second = await connection.beginNested();
      expect(connection.getNestedTransaction()).toBe(second);
      await second.commit();
      expect(connection.getNestedTransaction()).toBe(first);
      expect(connection.getTransaction()).toBe(root);
    });
  });
});

describe('a savepoint without a block', () => {
  it.each([
    ['AE-43', 'rollback', 19],
    ['AE-44', 'commit', 0],
  ] as const)('%s: %s leaves %d rows', async (_, end, rows) => {
    await filled.engine().begin(async (connection) => {
      const savepoint = await connection.beginNested();
      await connection.execute(deleteUsers);
      await savepoint[end]();
    });
    expect(await filled.count()).toBe(rows);
  });

  it.each([
    ['TX-19', 'rollback', [1, 3]],
    ['TX-20', 'commit', [1, 2, 3]],
  ] as const)('%s: after its %s the outer one goes on', async (_, end, ids) => {
    await users.engine().connect(async (connection) => {
      const root = await connection.begin();
      await connection.execute(insertUser(1));
      const savepoint = await connection.beginNested();
      await connection.execute(insertUser(2));
      await savepoint[end]();
      await connection.execute(insertUser(3));
      await root.commit();
    });
    expect(await users.ids()).toEqual(ids);
  });

  it.each([
    ['TX-43', 'rollback', 1],
    ['TX-44', 'commit', 2],
  ] as const)('%s: its %s in an autobegun transaction', async (_, end, rows) => {
    await users.engine().connect(async (connection) => {
      await connection.execute(insertUser(1));
      const savepoint = await connection.beginNested();
      await connection.execute(insertUser(2));
      expect(await count(connection)).toBe(2);
      await savepoint[end]();
      expect(await count(connection)).toBe(rows);
      await connection.commit();
    });
    expect(await users.count()).toBe(rows);
  });

  it('TX-45: connection.rollback() ends the root, and the savepoint with it', async () => {
    await users.engine().connect(async (connection) => {
      await connection.execute(insertUser(1));
      await connection.beginNested();
      await connection.execute(insertUser(2));
      await connection.rollback();
      expect(connection.inTransaction()).toBe(false);
      expect(await count(connection)).toBe(0);
    });
  });

  it('TX-46: the inner one of two rolls back alone; the outer one is cancelled by the commit of the block', async () => {
    await users.engine().connect(async (connection) => {
      let outer: { isActive: boolean } | undefined;
      await connection.begin(async () => {
        await connection.execute(insertUser(1));
        const sp1 = await connection.beginNested();
        outer = sp1;
        await connection.execute(insertUser(2));
        const sp2 = await connection.beginNested();
        await connection.execute(insertUser(3));
        await sp2.rollback();
        expect([sp2.isActive, sp1.isActive]).toEqual([false, true]);
        expect(await count(connection)).toBe(2);
      });
      expect(outer?.isActive).toBe(false);
    });
    expect(await users.ids()).toEqual([1, 2]);
  });

  it('TX-47: what two savepoints kept is stored', async () => {
    await users.engine().begin(async (connection) => {
      await connection.execute(insertUser(1));
      await connection.beginNested();
      await connection.execute(insertUser(2));
      const sp2 = await connection.beginNested();
      await connection.execute(insertUser(3));
      await sp2.commit();
    });
    expect(await users.ids()).toEqual([1, 2, 3]);
  });

  it('TX-49: the close() of the root ends both', async () => {
    await users.engine().connect(async (connection) => {
      const root = await connection.begin();
      const sp1 = await connection.beginNested();
      await connection.execute(insertUser(1));
      const sp2 = await connection.beginNested();
      await connection.execute(insertUser(2));
      await root.close();
      expect([root, sp1, sp2].map(({ isActive }) => isActive)).toEqual([false, false, false]);
      expect(connection.getTransaction()).toBeUndefined();
      expect(connection.getNestedTransaction()).toBeUndefined();
    });
    expect(await users.count()).toBe(0);
  });

  it('TX-07: a second rollback is silent', async () => {
    const log = new MemoryLogger();
    await users.engine({ logger: log }).begin(async (connection) => {
      const savepoint = await connection.beginNested();
      await connection.execute(insertUser(1));
      await savepoint.rollback();
      await expect(savepoint.rollback()).resolves.toBeUndefined();
    });
    expect([log.warnings, log.errors]).toEqual([[], []]);
  });
});

describe('a savepoint that is gone on the server', () => {
  /** Releases it behind our back. */
  async function release(connection: AsyncConnection): Promise<void> {
    await connection.execute(text('RELEASE SAVEPOINT nae_savepoint_1'));
  }

  it('TX-10: its rollback fails with the server’s error; the session is given up, a second rollback is silent', async () => {
    await users.engine({ logger: new MemoryLogger() }).connect(async (connection) => {
      const root = await connection.begin();
      const savepoint = await connection.beginNested();
      await connection.execute(insertUser(1));
      await release(connection);
      const failure = await failureOf(savepoint.rollback());
      expect(failure).toBeInstanceOf(DBAPIError);
      expect((failure as DBAPIError).statement).toContain('ROLLBACK TO SAVEPOINT');
      expect([savepoint.isActive, connection.invalidated]).toEqual([false, true]);
      await savepoint.rollback();
      expect(await failureOf(connection.execute(insertUser(2)))).toBeInstanceOf(PendingRollbackError);
      await root.rollback();
      await connection.execute(insertUser(2));
      await connection.commit();
    });
    expect(await users.ids()).toEqual([2]);
  });

  it('TX-12: its RELEASE fails with the statement that it travels with, and the cause is the driver’s', async () => {
    await users.engine({ logger: new MemoryLogger() }).connect(async (connection) => {
      const block = connection.begin(async () => {
        await connection.beginNested(async () => {
          await connection.execute(insertUser(1));
          await release(connection);
        });
        await connection.execute(insertUser(2));
      });
      const failure = await failureOf(block);
      expect(failure).toMatchObject({ sqlState: '3B001', cause: { code: '3B001' } });
      expect(connection.inTransaction()).toBe(false);
    });
    expect(await users.count()).toBe(0);
  });
});

describe('the order of savepoints', () => {
  it('X-11: ending the outer one first ends the inner one too, where SQLAlchemy leaves it in limbo', async () => {
    await users.engine().connect(async (connection) => {
      const sp1 = await connection.beginNested();
      await connection.execute(insertUser(1));
      const sp2 = await connection.beginNested();
      await connection.execute(insertUser(2));
      await sp1.rollback();
      expect(sp2.state).toBe('cancelled');
      expect(connection.getNestedTransaction()).toBeUndefined();
      await sp2.rollback();
      expect(await failureOf(sp2.commit())).toBeInstanceOf(TransactionEndedError);
      await connection.execute(insertUser(3));
      await connection.commit();
    });
    expect(await users.ids()).toEqual([3]);
  });

  it('X-12: names go on where they were, beyond the end of the root', async () => {
    const statements = await users.wire((engine) =>
      engine.connect(async (connection) => {
        for (const id of [1, 2]) {
          await connection.beginNested(() => connection.execute(insertUser(id)));
          await connection.commit();
        }
      }),
    );
    expect(statements.filter((sql) => sql.startsWith('SAVEPOINT'))).toEqual([
      'SAVEPOINT nae_savepoint_1',
      'SAVEPOINT nae_savepoint_2',
    ]);
  });
});
