import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { text } from 'nest-async-engine/engine';
import type { AsyncConnection, AsyncTransaction, PooledConnection } from 'nest-async-engine/engine';
import { MemoryLogger } from '../support/items.js';
import { insertUser, UsersTable } from './support/users.js';

let users: UsersTable;
beforeAll(async () => {
  users = await UsersTable.open('resets');
});
afterEach(() => users.expectClean());
afterAll(() => users.close());

/** The ends of transactions and savepoints that the server hears of, from the checkout to the return. */
async function ends(work: (connection: AsyncConnection) => Promise<void>): Promise<string[]> {
  const statements = await users.wire((engine) => engine.connect(work));
  return statements.filter((sql) => /^(COMMIT|ROLLBACK)/.test(sql)).map((sql) => sql.replace(/_\d+$/, ''));
}

const tracked = (connection: AsyncConnection): readonly unknown[] => [
  connection.getTransaction(),
  connection.getNestedTransaction(),
];

// SQLAlchemy's driver is told to roll back at every return. Nothing is sent here to a session that the server says is idle.
describe('what is sent until a connection is back in its pool', () => {
  it('TX-64: begin, rollback, leave: one ROLLBACK', async () => {
    const sent = await ends(async (connection) => {
      const transaction = await connection.begin();
      await connection.execute(insertUser(1));
      await transaction.rollback();
    });
    expect(sent).toEqual(['ROLLBACK']);
  });

  it('TX-65: begin, commit, leave: one COMMIT', async () => {
    const sent = await ends(async (connection) => {
      const transaction = await connection.begin();
      await connection.execute(insertUser(1));
      await transaction.commit();
    });
    expect(sent).toEqual(['COMMIT']);
  });

  it('TX-66: transaction.close(), leave: one ROLLBACK', async () => {
    const sent = await ends(async (connection) => {
      const transaction = await connection.begin();
      await connection.execute(insertUser(1));
      await transaction.close();
    });
    expect(sent).toEqual(['ROLLBACK']);
  });

  it.each(['close', 'rollback'] as const)(
    'TX-67: nested.close(), root.%s(): each is undone once',
    async (end) => {
      const sent = await ends(async (connection) => {
        const root = await connection.begin();
        const nested = await connection.beginNested();
        await connection.execute(insertUser(1));
        expect(tracked(connection)).toEqual([root, nested]);
        await nested.close();
        expect(tracked(connection)).toEqual([root, undefined]);
        await root[end]();
        expect(tracked(connection)).toEqual([undefined, undefined]);
      });
      expect(sent).toEqual(['ROLLBACK TO SAVEPOINT nae_savepoint', 'ROLLBACK']);
    },
  );

  it.each(['autobegun', 'explicit'] as const)(
    'TX-69: leaving with a savepoint open in an %s root: one ROLLBACK',
    async (root) => {
      const handles: AsyncTransaction[] = [];
      const sent = await ends(async (connection) => {
        if (root === 'explicit') handles.push(await connection.begin());
        handles.push(await connection.beginNested());
        await connection.execute(insertUser(1));
      });
      expect(sent).toEqual(['ROLLBACK']);
      expect(handles.filter(({ isActive }) => isActive)).toEqual([]);
    },
  );

  it('TX-70: nested.rollback(), root.commit(), leave', async () => {
    const sent = await ends(async (connection) => {
      const root = await connection.begin();
      const nested = await connection.beginNested();
      await connection.execute(insertUser(1));
      await nested.rollback();
      await root.commit();
    });
    expect(sent).toEqual(['ROLLBACK TO SAVEPOINT nae_savepoint', 'COMMIT']);
  });

  it('TX-71: connect and leave: nothing', async () => {
    expect(await users.wire((engine) => engine.connect(async () => undefined))).toEqual([]);
  });
});

describe('a session that goes away in a transaction', () => {
  // ≠ SQLAlchemy, whose failed ROLLBACK leaves the block as an error: nothing was lost that was promised.
  it('X-27: leaving the block is quiet, and the pool has nothing on loan', async () => {
    const log = new MemoryLogger();
    const engine = users.engine({ logger: log });
    const left = engine.connect(async (connection) => {
      await connection.execute(insertUser(1));
      await users.kill(await connection.scalar(text('SELECT pg_backend_pid()')));
    });
    await expect(left).resolves.toBeUndefined();
    expect(log.warnings.join()).toContain('with a transaction that was not committed');
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.begin((connection) => connection.execute(insertUser(2)));
    expect(await users.ids()).toEqual([2]);
  });

  it('AE-18: a raw connection that is closed normally is reset without a warning', async () => {
    const log = new MemoryLogger();
    const engine = users.engine({ logger: log });
    const raw: PooledConnection = await engine.rawConnection();
    await raw.session.execute([], { text: 'BEGIN' });
    await raw.close();
    expect([log.warnings, log.errors]).toEqual([[], []]);
    expect(engine.pool.checkedIn()).toBe(1);
    expect(await users.database.sessions()).toMatchObject([{ state: 'idle' }]);
  });
});
