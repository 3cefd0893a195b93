import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  IllegalStateError,
  InvalidRequestError,
  PendingRollbackError,
  text,
  TransactionEndedError,
  UnexpectedRollbackError,
  UniqueViolationError,
} from 'nest-async-engine/engine';
import type { AsyncConnection } from 'nest-async-engine/engine';
import { failureOf, MemoryLogger } from '../support/items.js';
import { countUsers, insertUser, UsersTable } from './support/users.js';

let users: UsersTable;
beforeAll(async () => {
  users = await UsersTable.open('transactions');
});
afterEach(() => users.expectClean());
afterAll(() => users.close());

const count = (connection: AsyncConnection): Promise<unknown> => connection.scalar(countUsers);
/** Breaks the deferred key: refused at COMMIT, and not before. */
const sameName = (id: number) => text(`INSERT INTO users VALUES (${id}, 'the same')`);

async function withConnection(work: (connection: AsyncConnection) => Promise<void>): Promise<void> {
  await users.engine().connect(work);
}

describe('an explicit transaction', () => {
  it('TX-01: commits, round after round', () =>
    withConnection(async (connection) => {
      for (const ids of [[1], [2, 3]]) {
        const transaction = await connection.begin();
        for (const id of ids) await connection.execute(insertUser(id));
        await transaction.commit();
      }
      await connection.begin();
      expect(await count(connection)).toBe(3);
    }));

  it('TX-02: a rollback undoes it, and the next statement begins another', () =>
    withConnection(async (connection) => {
      const transaction = await connection.begin();
      for (const id of [1, 2, 3]) await connection.execute(insertUser(id));
      await transaction.rollback();
      expect(await count(connection)).toBe(0);
      expect(connection.inTransaction()).toBe(true);
    }));

  it('TX-06: a second rollback is silent', async () => {
    const log = new MemoryLogger();
    await users.engine({ logger: log }).connect(async (connection) => {
      const transaction = await connection.begin();
      await connection.execute(insertUser(1));
      await transaction.rollback();
      await expect(transaction.rollback()).resolves.toBeUndefined();
    });
    expect([log.warnings, log.errors]).toEqual([[], []]);
  });

  it('TX-08: a COMMIT that fails ends it; a rollback afterwards is silent', () =>
    withConnection(async (connection) => {
      const transaction = await connection.begin();
      await connection.execute(sameName(1));
      await connection.execute(sameName(2));
      expect(await failureOf(transaction.commit())).toBeInstanceOf(UniqueViolationError);
      expect([transaction.state, connection.getTransaction()]).toEqual(['rolled-back', undefined]);
      await expect(transaction.rollback()).resolves.toBeUndefined();
    }));

  it('TX-09: a COMMIT that fails at the end of a block propagates, and the connection is clean', () =>
    withConnection(async (connection) => {
      const block = connection.begin(async () => {
        await connection.execute(sameName(1));
        await connection.execute(sameName(2));
      });
      expect(await failureOf(block)).toBeInstanceOf(UniqueViolationError);
      expect(connection.getTransaction()).toBeUndefined();
      await connection.rollback();
      await connection.execute(insertUser(3));
      await connection.commit();
      expect(await users.ids()).toEqual([3]);
    }));

  it('TX-13: goes on through executionOptions()', () =>
    withConnection(async (connection) => {
      const transaction = await connection.begin();
      await connection.execute(insertUser(1));
      const same = await connection.executionOptions({ yieldPer: 7 });
      await same.execute(insertUser(2));
      expect(same).toBe(connection);
      await transaction.rollback();
      expect(await users.count()).toBe(0);
    }));

  it('TX-14: a handle in `await using` is active inside and rolled back unless it is committed', () =>
    withConnection(async (connection) => {
      const transaction = await connection.begin();
      {
        await using handle = await transaction.start();
        await connection.execute(insertUser(1));
        expect(handle.isActive).toBe(true);
      }
      expect(transaction.state).toBe('rolled-back');
      {
        await using handle = await connection.begin();
        await connection.execute(insertUser(2));
        await handle.commit();
      }
      expect(await users.ids()).toEqual([2]);
    }));

  it('TX-15: inTransaction() is false after its commit', () =>
    withConnection(async (connection) => {
      const transaction = await connection.begin();
      for (const id of [1, 2, 3]) await connection.execute(insertUser(id));
      expect(connection.inTransaction()).toBe(true);
      await transaction.commit();
      expect(connection.inTransaction()).toBe(false);
      expect(await users.count()).toBe(3);
    }));

  it('TX-16: close() rolls it back', () =>
    withConnection(async (connection) => {
      const transaction = await connection.begin();
      await connection.execute(insertUser(1));
      await transaction.close();
      expect(connection.inTransaction()).toBe(false);
      expect(await users.count()).toBe(0);
    }));

  it('TX-40: begin() twice is refused', () =>
    withConnection(async (connection) => {
      await connection.begin();
      const refusal = await failureOf(connection.begin());
      expect(refusal).toBeInstanceOf(InvalidRequestError);
      expect(String(refusal)).toContain('already has a transaction');
    }));

  it('TX-50: a SELECT that was not committed holds no lock once its connection is closed', async () => {
    const engine = users.engine();
    await users.database.query('CREATE TABLE dropped (id INT)');
    await engine.connect((connection) => connection.execute(text('SELECT * FROM dropped')));
    const dropping = engine.begin(async (connection) => {
      await connection.execute(text(`SET LOCAL lock_timeout = 2000`));
      await connection.execute(text('DROP TABLE dropped'));
    });
    await expect(dropping).resolves.toBeUndefined();
  });
});

describe('autobegin', () => {
  it('TX-24: a rollback undoes what was executed without begin()', () =>
    withConnection(async (connection) => {
      await connection.execute(insertUser(1));
      await connection.rollback();
      expect(await count(connection)).toBe(0);
    }));

  it('TX-28: commit as you go', () =>
    withConnection(async (connection) => {
      expect(connection.inTransaction()).toBe(false);
      await connection.execute(insertUser(1));
      expect(connection.inTransaction()).toBe(true);
      await connection.commit();
      expect(connection.inTransaction()).toBe(false);
      expect(await count(connection)).toBe(1);
      await connection.execute(insertUser(2));
      expect(await count(connection)).toBe(2);
      await connection.rollback();
      expect(await count(connection)).toBe(1);
    }));

  it('TX-30: an explicit rollback is the only one', async () => {
    const statements = await users.wire((engine) =>
      engine.connect(async (connection) => {
        await connection.execute(insertUser(1));
        await connection.rollback();
      }),
    );
    expect(statements.filter((sql) => sql.includes('ROLLBACK'))).toEqual(['ROLLBACK']);
  });

  it('TX-33: commit() and rollback() with nothing begun do nothing', () =>
    withConnection(async (connection) => {
      await connection.commit();
      await connection.rollback();
      expect(connection.inTransaction()).toBe(false);
    }));

  it('X-14: begin() and commit() with no statement never leave idle', () =>
    withConnection(async (connection) => {
      const transaction = await connection.begin();
      const during = await users.database.sessions();
      await transaction.commit();
      const after = await users.database.sessions();
      expect([...during, ...after].map(({ state }) => state)).toEqual(['idle', 'idle']);
    }));
});

describe('AUTOCOMMIT', () => {
  it('TX-25: what was executed survives a rollback', async () => {
    await users.engine({ isolationLevel: 'AUTOCOMMIT' }).connect(async (connection) => {
      await connection.execute(insertUser(1));
      await connection.rollback();
      expect(await users.count()).toBe(1);
    });
  });

  it('TX-26: is refused inside a transaction by its name', async () => {
    await users.engine().begin(async (connection) => {
      await connection.execute(countUsers);
      const refusal = await failureOf(connection.executionOptions({ isolationLevel: 'AUTOCOMMIT' }));
      expect(refusal).toBeInstanceOf(IllegalStateError);
      expect(String(refusal)).toContain('isolationLevel');
    });
  });
});

describe('a connection that is invalidated in a transaction', () => {
  it('TX-34: commit() is refused until the rollback', () =>
    withConnection(async (connection) => {
      const transaction = await connection.begin();
      connection.invalidate();
      expect(await failureOf(transaction.commit())).toBeInstanceOf(PendingRollbackError);
      await transaction.rollback();
    }));

  it('TX-35: statements are refused until the rollback, and what was committed stays', () =>
    withConnection(async (connection) => {
      await connection.execute(insertUser(1));
      await connection.commit();
      await connection.execute(insertUser(2));
      connection.invalidate();
      expect(await failureOf(connection.execute(countUsers))).toBeInstanceOf(PendingRollbackError);
      await connection.rollback();
      expect(await count(connection)).toBe(1);
    }));
});

describe('a failed statement that was swallowed', () => {
  it('X-07: COMMIT says so, where SQLAlchemy reports success', async () => {
    let first: unknown;
    const block = users.engine().begin(async (connection) => {
      await connection.execute(insertUser(1));
      first = await failureOf(connection.execute(insertUser(1)));
    });
    const failure = await failureOf(block);
    expect(failure).toBeInstanceOf(UnexpectedRollbackError);
    expect((failure as Error).cause).toBe(first);
    expect(await users.count()).toBe(0);
  });

  it('X-10: a commit that the end of the block makes and that fails leaves the connection usable', () =>
    withConnection(async (connection) => {
      const block = connection.begin(async () => {
        await connection.execute(sameName(1));
        await connection.execute(sameName(2));
      });
      expect(await failureOf(block)).toBeInstanceOf(UniqueViolationError);
      expect(await count(connection)).toBe(0);
    }));

  it('X-10: so does one that the body makes itself: no limbo after the block', () =>
    withConnection(async (connection) => {
      const block = connection.begin(async (transaction) => {
        await connection.execute(sameName(1));
        await connection.execute(sameName(2));
        await transaction.commit();
      });
      expect(await failureOf(block)).toBeInstanceOf(UniqueViolationError);
      expect(await count(connection)).toBe(0);
    }));

  it('X-08: a COMMIT that a hook vetoes leaves nothing that a later commit could store', () =>
    withConnection(async (connection) => {
      const transaction = await connection.begin();
      await connection.execute(insertUser(1));
      transaction.beforeCommit(() => {
        throw new RangeError('veto');
      });
      await expect(transaction.commit()).rejects.toThrow('veto');
      await transaction.rollback();
      expect(await count(connection)).toBe(0);
      await connection.commit();
      expect(await users.count()).toBe(0);
      expect(await failureOf(transaction.commit())).toBeInstanceOf(TransactionEndedError);
    }));
});
