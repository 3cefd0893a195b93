import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AsyncConnection, NotStartedError, ResourceClosedError, text } from 'nest-async-engine/engine';
import { insert, outcomeOf, ItemDatabase } from '../../support/items.js';

describe('getIsolationLevel', () => {
  let items: ItemDatabase;

  beforeAll(async () => {
    items = await ItemDatabase.open('isolation');
  });
  afterEach(() => items.expectClean());
  afterAll(() => items.close());

  it("TX-52 is the server's default where nothing was asked for", async () => {
    await items.engine().connect(async (connection) => {
      expect(await connection.getIsolationLevel()).toBe('READ COMMITTED');
    });
  });

  it('AE-28 is the level that the connection was given', async () => {
    await items.engine().connect(async (connection) => {
      await connection.executionOptions({ isolationLevel: 'SERIALIZABLE' });
      expect(await connection.getIsolationLevel()).toBe('SERIALIZABLE');
    });
  });

  it('TX-51 stays as the engine has it, through all checkouts', async () => {
    const engine = items.engine({ isolationLevel: 'REPEATABLE READ' });
    const levels: string[] = [];
    for (let round = 0; round < 3; round += 1) {
      await engine.connect(async (connection) => void levels.push(await connection.getIsolationLevel()));
    }
    expect(levels).toEqual(['REPEATABLE READ', 'REPEATABLE READ', 'REPEATABLE READ']);
  });

  it('TX-57 is the default again for the next borrower', async () => {
    const engine = items.engine();
    await engine.connect(async (connection) => {
      await connection.executionOptions({ isolationLevel: 'SERIALIZABLE' });
      await connection.execute(text('SELECT 1'));
    });
    await engine.connect(async (connection) => {
      expect(await connection.getIsolationLevel()).toBe('READ COMMITTED');
    });
  });

  it('is the level of the transaction in progress, and asks inside it', async () => {
    await items.engine().connect(async (connection) => {
      await connection.begin(
        async () => {
          expect(await connection.getIsolationLevel()).toBe('REPEATABLE READ');
        },
        { isolationLevel: 'REPEATABLE READ' },
      );
    });
  });

  it.each([{}, { isolationLevel: 'SERIALIZABLE' }, { isolationLevel: 'AUTOCOMMIT' }] as const)(
    'begins no transaction with %j',
    async (options) => {
      await items.engine(options).connect(async (connection) => {
        await connection.getIsolationLevel();
        expect(connection.inTransaction()).toBe(false);
        expect((await items.database.sessions()).map(({ state }) => state)).toEqual(['idle']);
      });
    },
  );

  it('leaves the next transaction as it is', async () => {
    await items.engine({ isolationLevel: 'SERIALIZABLE' }).connect(async (connection) => {
      await connection.getIsolationLevel();
      await connection.execute(insert('one'));
      await connection.commit();
    });
    expect(await items.names()).toEqual(['one']);
  });

  it('never says AUTOCOMMIT', async () => {
    await items.engine({ isolationLevel: 'AUTOCOMMIT' }).connect(async (connection) => {
      expect(await connection.getIsolationLevel()).toBe('READ COMMITTED');
    });
  });

  it('TX-56 takes another connection where the last one was invalidated', async () => {
    await items.engine().connect(async (connection) => {
      connection.invalidate();
      expect(await connection.getIsolationLevel()).toBe('READ COMMITTED');
    });
  });

  it('is refused before the start and after the end', async () => {
    const connection = new AsyncConnection(items.engine());
    const before = await outcomeOf(connection.getIsolationLevel());
    await connection.close();
    expect([before, await outcomeOf(connection.getIsolationLevel())]).toEqual([
      NotStartedError,
      ResourceClosedError,
    ]);
  });
});
