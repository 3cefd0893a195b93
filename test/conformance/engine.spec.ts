import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  AsyncConnection,
  asyncEngineFromConfig,
  AsyncMethodRequiredError,
  createAsyncEngine,
  InvalidRequestError,
  makeUrl,
  NotStartedError,
  text,
} from 'nest-async-engine/engine';
import type { AsyncEngineOptions, DriverClient, ExecutionOptions } from 'nest-async-engine/engine';
import { failureOf } from '../support/items.js';
import { countUsers, deleteUsers, UsersTable } from './support/users.js';

let users: UsersTable;
beforeAll(async () => {
  users = await UsersTable.open('engine', 19);
});
afterEach(() => users.expectClean());
afterAll(() => users.close());

const one = text('SELECT 1');

describe('an engine', () => {
  it('AE-10: has a URL, a pool, a name and a driver, which stay the same', () => {
    const url = makeUrl(users.database.url);
    const engine = createAsyncEngine(url);
    expect(engine.url).toBe(url);
    expect(engine.pool).toBe(engine.pool);
    expect(engine.engine).toBe(engine);
    expect([engine.name, engine.driver]).toEqual(['postgresql', 'pg']);
  });

  it('AE-12: is equal to itself alone', () => {
    const [engine, other] = [users.engine(), users.engine()];
    expect(engine === other).toBe(false);
    expect(engine.executionOptions({}) === engine).toBe(false);
  });

  it('AE-21: forgets compiled statements when it is told to', async () => {
    const engine = users.engine();
    await engine.execute(text('SELECT :a::int4'), { a: 1 });
    expect(engine.compiledCache.size).toBe(1);
    engine.clearCompiledCache();
    expect(engine.compiledCache.size).toBe(0);
  });

  it('AE-22: gives another engine with options, and keeps its own', () => {
    const engine = users.engine();
    const other = engine.executionOptions({ yieldPer: 7 });
    expect(other.getExecutionOptions()).toEqual({ yieldPer: 7 });
    expect(engine.getExecutionOptions()).toEqual({});
    expect(other.pool).toBe(engine.pool);
  });

  it('AE-50: refuses serverSideCursors and points to stream()', () => {
    const options = { serverSideCursors: true } as AsyncEngineOptions;
    const create = () => createAsyncEngine(users.database.url, options);
    expect(create).toThrow(AsyncMethodRequiredError);
    expect(create).toThrow(/stream\(\)/);
  });

  it('AE-51: comes out of a configuration', () => {
    const { url } = users.database;
    const engine = asyncEngineFromConfig({ 'database.url': url, 'database.pool_pre_ping': 'true' });
    expect(engine.url.equals(makeUrl(url))).toBe(true);
    expect(engine.pool.options.poolPrePing).toBe(true);
  });

  it('X-32: out of a configuration that says false is false', () => {
    const config = { 'database.url': users.database.url, 'database.pool_pre_ping': 'false' };
    expect(asyncEngineFromConfig(config).pool.options.poolPrePing).toBe(false);
  });
});

describe('a connection', () => {
  it('AE-15: is equal to itself alone', async () => {
    const engine = users.engine();
    await using first = await engine.connect();
    await using second = await engine.connect();
    expect(first === second).toBe(false);
  });

  it('AE-23: knows its engine’s options and whether it is closed', async () => {
    const engine = users.engine().executionOptions({ yieldPer: 7 });
    const connection = await engine.connect();
    expect(connection.closed).toBe(false);
    expect(connection.getExecutionOptions()).toEqual(engine.getExecutionOptions());
    await connection.close();
    expect(connection.closed).toBe(true);
  });

  it('AE-25: takes another session after invalidate(), and what it lent before is not valid', async () => {
    const engine = users.engine();
    await using connection = await engine.connect();
    const before = await connection.getRawConnection();
    const client = before.driverConnection;
    expect([connection.invalidated, before.isValid]).toEqual([false, true]);
    connection.invalidate();
    expect([connection.invalidated, before.isValid]).toEqual([true, false]);
    const after = await connection.getRawConnection();
    expect(after).not.toBe(before);
    expect(after.driverConnection).not.toBe(client);
    expect([connection.invalidated, after.isValid]).toEqual([false, true]);
  });

  it('AE-27: gives the pooled connection that it uses', async () => {
    await users.engine().connect(async (connection) => {
      expect(await connection.getRawConnection()).toBe(connection.pooled);
      expect(await connection.getRawConnection()).toBe(connection.pooled);
    });
  });

  it('AE-39: in callback form runs statements, whose results need no await', async () => {
    await users.engine().connect(async (connection) => {
      const result = await connection.execute(one);
      expect(result.scalar()).toBe(1);
    });
  });

  it('AE-40: as a handle does the same until it is closed', async () => {
    const connection = await users.engine().connect();
    const result = await connection.execute(one);
    expect(result.scalar()).toBe(1);
    await connection.close();
  });

  it('AE-41: that was not started refuses begin() by its name', async () => {
    const refusal = await failureOf(new AsyncConnection(users.engine()).begin());
    expect(refusal).toBeInstanceOf(NotStartedError);
    expect(refusal).toBeInstanceOf(InvalidRequestError);
    expect(String(refusal)).toContain('AsyncConnection');
  });

  it('AE-48: is closed at the end of `await using`', async () => {
    const engine = users.engine();
    let left: AsyncConnection | undefined;
    {
      await using connection = await engine.connect();
      left = connection;
      const transaction = await connection.begin();
      await connection.execute(deleteUsers);
      await transaction.commit();
    }
    expect(left.closed).toBe(true);
    expect(await users.count()).toBe(0);
  });

  it('AE-48: is closed by aclose(), also twice', async () => {
    const connection = await users.engine().connect();
    await connection.aclose();
    await connection.aclose();
    expect(connection.closed).toBe(true);
  });

  it('AE-57: leaves no cursor behind a buffered statement', async () => {
    await users.engine().connect(async (connection) => {
      await connection.execDriverSql('SELECT * FROM users');
      expect(await connection.scalar(text('SELECT count(*)::int4 FROM pg_cursors'))).toBe(1);
    });
  });

  it('AE-71: with streamResults refuses execute() and points to stream()', async () => {
    await users.engine().connect(async (connection) => {
      await connection.executionOptions({ streamResults: true });
      for (const call of [connection.execute(one), connection.scalar(one), connection.scalars(one)]) {
        const refusal = await failureOf(call);
        expect(refusal).toBeInstanceOf(AsyncMethodRequiredError);
        expect(String(refusal)).toMatch(/execute.*stream\(\)/s);
      }
      expect(connection.inTransaction()).toBe(false);
      expect(await connection.stream(countUsers).scalar()).toBe(19);
    });
  });

  it('AE-112: run() gives what its function returns', async () => {
    await users.engine().connect(async (connection) => {
      expect(await connection.run(async () => 2)).toBe(2);
      const scalar = async (client: DriverClient): Promise<unknown> =>
        (await client.query('SELECT 1 AS one')).rows;
      expect(await connection.run(scalar)).toEqual([{ one: 1 }]);
    });
  });

  it('AE-20: a statement means the same to an engine and to its connection', async () => {
    const engine = users.engine();
    const statement = text<{ a: number }>('SELECT :a::int4 AS a');
    const byEngine = await engine.execute(statement, { a: 1 }).one();
    const byConnection = await engine.connect((connection) => connection.execute(statement, { a: 1 }).one());
    expect(byConnection).toEqual(byEngine);
  });

  it('AE-26: has no accessor for the driver’s connection that does not wait', async () => {
    await users.engine().connect(async (connection) => {
      expect('connection' in connection).toBe(false);
    });
  });

  it('AE-55 AE-56: streams where the driver has cursors, which pg has', async () => {
    await users.engine().connect(async (connection) => {
      expect(await connection.stream(one).scalar()).toBe(1);
      expect(await connection.streamScalars(one).one()).toBe(1);
    });
  });
});

describe('options that nobody knows', () => {
  it.each([{ foo: 99 }, { poolsize: 5 }])('AE-60: %j is an ArgumentError that names it', (options) => {
    const create = () => createAsyncEngine(users.database.url, options as AsyncEngineOptions);
    expect(create).toThrow(ArgumentError);
    expect(create).toThrow(Object.keys(options)[0]);
  });

  it('9.8: a transaction’s option is refused for a statement by its name', async () => {
    const options = { deferrable: true } as ExecutionOptions;
    const refusal = await failureOf(users.engine().execute(one, undefined, options));
    expect(refusal).toBeInstanceOf(ArgumentError);
    expect(String(refusal)).toContain('deferrable');
  });
});
