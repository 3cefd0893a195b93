import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  createAsyncEngine,
  IllegalStateError,
  InvalidRequestError,
  text,
} from 'nest-async-engine/engine';
import type { AsyncConnection, ExecutionOptions, IsolationLevel } from 'nest-async-engine/engine';
import { failureOf } from '../support/items.js';
import { countUsers, insertUser, UsersTable } from './support/users.js';

let users: UsersTable;
beforeAll(async () => {
  users = await UsersTable.open('isolation_levels');
});
afterEach(() => users.expectClean());
afterAll(() => users.close());

const levelOf = (connection: AsyncConnection): Promise<IsolationLevel> => connection.getIsolationLevel();
const FOO = 'FOO' as IsolationLevel;

describe('the isolation level', () => {
  it('AE-28: is what the server says, then what the connection is given', async () => {
    await users.engine().connect(async (connection) => {
      const server = await users.database.query<{ level: string }>(
        `SELECT upper(current_setting('default_transaction_isolation')) AS level`,
      );
      expect([{ level: await levelOf(connection) }]).toEqual(server);
      await connection.executionOptions({ isolationLevel: 'SERIALIZABLE' });
      expect(await levelOf(connection)).toBe('SERIALIZABLE');
    });
  });

  it('TX-51: of the engine stays through three checkouts', async () => {
    const engine = users.engine({ isolationLevel: 'SERIALIZABLE' });
    const levels: string[] = [];
    for (let round = 0; round < 3; round += 1)
      await engine.connect(async (connection) => void levels.push(await levelOf(connection)));
    expect(levels).toEqual(['SERIALIZABLE', 'SERIALIZABLE', 'SERIALIZABLE']);
  });

  it('TX-52: without a setting is the server’s default', async () => {
    await users.engine().connect(async (connection) => {
      expect(await levelOf(connection)).toBe('READ COMMITTED');
    });
  });

  it.each([
    [{}, 'READ COMMITTED'],
    [{ isolationLevel: 'REPEATABLE READ' }, 'REPEATABLE READ'],
  ] as const)('TX-53: is reset at the check-in to that of an engine with %j', async (options, level) => {
    const engine = users.engine({ poolSize: 1, ...options });
    await engine.connect(async (connection) => {
      await connection.executionOptions({ isolationLevel: 'SERIALIZABLE' });
      await connection.execute(countUsers);
    });
    await engine.connect(async (connection) => expect(await levelOf(connection)).toBe(level));
  });

  it.each(['REPEATABLE_READ', 'repeatable_read', 'repeatable read'])(
    'TX-54: %s is understood',
    async (word) => {
      await users.engine({ isolationLevel: word as IsolationLevel }).connect(async (connection) => {
        expect(await connection.scalar(text('SHOW transaction_isolation'))).toBe('repeatable read');
      });
    },
  );

  // SQLAlchemy finds out at the first connect; a wrong option is refused where it is given.
  it('TX-55: FOO is refused by the engine and its options, with the names that there are', () => {
    const { url } = users.database;
    const engine = users.engine();
    const wrong = { isolationLevel: FOO };
    for (const refused of [
      () => createAsyncEngine(url, wrong),
      () => createAsyncEngine(url, { executionOptions: wrong }),
      () => engine.executionOptions(wrong),
      () => engine.updateExecutionOptions(wrong),
    ]) {
      expect(refused).toThrow(ArgumentError);
      expect(refused).toThrow(/SERIALIZABLE/);
    }
    expect(engine.getExecutionOptions()).toEqual({});
  });

  it('X-29: FOO is refused by a connection, which keeps the options that it had', async () => {
    await users.engine().connect(async (connection) => {
      await connection.executionOptions({ isolationLevel: 'SERIALIZABLE' });
      expect(await failureOf(connection.executionOptions({ isolationLevel: FOO }))).toBeInstanceOf(
        ArgumentError,
      );
      expect(connection.getExecutionOptions()).toEqual({ isolationLevel: 'SERIALIZABLE' });
    });
  });

  it('X-29: as an option of one statement it is refused, where SQLAlchemy ignores it (9.8)', async () => {
    await users.engine().connect(async (connection) => {
      const options = { isolationLevel: 'SERIALIZABLE' } as ExecutionOptions;
      expect(await failureOf(connection.execute(countUsers, undefined, options))).toBeInstanceOf(
        ArgumentError,
      );
    });
  });

  // ≠ SQLAlchemy, whose options say one level and whose connection has another: the options hold on every session.
  it('TX-56: after an invalidation is still what the options say', async () => {
    await users.engine().connect(async (connection) => {
      await connection.executionOptions({ isolationLevel: 'SERIALIZABLE' });
      connection.invalidate();
      expect(await levelOf(connection)).toBe('SERIALIZABLE');
    });
    await users.engine().connect(async (connection) => {
      connection.invalidate();
      expect(await levelOf(connection)).toBe('READ COMMITTED');
    });
  });

  it('TX-57: is each connection’s own, and both are in default again afterwards', async () => {
    const engine = users.engine();
    const two = async (): Promise<string[]> => {
      const [c1, c2] = await Promise.all([engine.connect(), engine.connect()]);
      await using first = c1;
      await using second = c2;
      const before = [await levelOf(first), await levelOf(second)];
      await first.executionOptions({ isolationLevel: 'SERIALIZABLE' });
      return [...before, await levelOf(first), await levelOf(second)];
    };
    const expected = ['READ COMMITTED', 'READ COMMITTED', 'SERIALIZABLE', 'READ COMMITTED'];
    expect(await two()).toEqual(expected);
    expect(await two()).toEqual(expected);
  });

  it('TX-58: inside a transaction can’t be set, and stays', async () => {
    await users.engine().connect(async (connection) => {
      await connection.begin(async () => {
        const before = await levelOf(connection);
        const refusal = await failureOf(connection.executionOptions({ isolationLevel: 'SERIALIZABLE' }));
        expect(refusal).toBeInstanceOf(InvalidRequestError);
        expect(await levelOf(connection)).toBe(before);
      });
    });
  });
});

describe('the other characteristics of a transaction', () => {
  const characteristics = async (connection: AsyncConnection): Promise<unknown[]> => {
    const { readOnly, deferrable } = await connection
      .execute<{ readOnly: string; deferrable: string }>(
        text(
          `SELECT current_setting('transaction_read_only') AS "readOnly",
           current_setting('transaction_deferrable') AS deferrable`,
        ),
      )
      .one();
    await connection.rollback();
    return [readOnly, deferrable];
  };

  it('TX-62: hold from the next transaction on', async () => {
    await users.engine().connect(async (connection) => {
      await connection.executionOptions({ readOnly: true, deferrable: true });
      expect(await characteristics(connection)).toEqual(['on', 'on']);
      await connection.executionOptions({ readOnly: false, deferrable: false });
      expect(await characteristics(connection)).toEqual(['off', 'off']);
    });
  });

  it('TX-62: of an option engine hold at every checkout, and of the parent at none', async () => {
    const parent = users.engine();
    const reader = parent.executionOptions({ readOnly: true });
    for (let round = 0; round < 2; round += 1) {
      await reader.connect(async (connection) => {
        expect(await characteristics(connection)).toEqual(['on', 'off']);
      });
    }
    await parent.connect(async (connection) => {
      expect(await characteristics(connection)).toEqual(['off', 'off']);
    });
  });

  it('TX-62: are reset on return', async () => {
    const engine = users.engine({ poolSize: 1 });
    await engine.connect(async (connection) => {
      await connection.executionOptions({ readOnly: true });
      await connection.execute(countUsers);
    });
    await engine.begin((connection) => connection.execute(insertUser(1)));
    expect(await users.ids()).toEqual([1]);
  });

  it.each([{ readOnly: true }, { deferrable: true }, { settings: { 'app.tenant': 'a' } }])(
    'TX-62: %j is refused in a transaction',
    async (options) => {
      await users.engine().connect(async (connection) => {
        await connection.execute(countUsers);
        expect(await failureOf(connection.executionOptions(options))).toBeInstanceOf(IllegalStateError);
        await connection.rollback();
        await expect(connection.executionOptions(options)).resolves.toBe(connection);
      });
    },
  );
});
