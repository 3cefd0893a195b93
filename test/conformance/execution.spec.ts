import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  ConnectionLostError,
  DBAPIError,
  InvalidRequestError,
  ObjectNotExecutableError,
  OperationalError,
  ProgrammingError,
  StatementError,
  text,
} from 'nest-async-engine/engine';
import type { AsyncConnection, AsyncEngine, Executable, HandleErrorEvent } from 'nest-async-engine/engine';
import { failureOf, insert, ItemDatabase } from '../support/items.js';
import { startFaultyProxy } from '../support/server/faulty-proxy.js';

let items: ItemDatabase;
let engine: AsyncEngine;

beforeAll(async () => {
  items = await ItemDatabase.open('execution');
});
beforeEach(() => {
  engine = items.engine();
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const one = text('SELECT 1 AS one');
const ALL = ['begin', 'commit', 'rollback', 'savepoint', 'rollbackSavepoint', 'releaseSavepoint'] as const;

/** The names of the events in their order. */
function record(target: AsyncEngine | AsyncConnection, into: string[], prefix = ''): void {
  for (const name of ALL) (target as AsyncEngine).on(name, () => void into.push(`${prefix}${name}`));
}

describe('what can be executed', () => {
  it('EX-01: a string is refused and shown', async () => {
    const error = await failureOf(engine.execute('SELECT 1' as unknown as Executable));
    expect(error).toBeInstanceOf(ObjectNotExecutableError);
    expect(String(error)).toContain("'SELECT 1'");
  });

  it.each([[{}], [5], [null], [new Date()]])('EX-03: %s is refused', async (value) => {
    expect(await failureOf(engine.execute(value as unknown as Executable))).toBeInstanceOf(
      ObjectNotExecutableError,
    );
  });

  it('EX-04: a bind without a value is a StatementError that names it and shows the SQL', async () => {
    const error = await failureOf(engine.execute(text('SELECT :missing'), {}));
    expect(error).toBeInstanceOf(StatementError);
    expect(String(error)).toMatch(/':missing'[^]*\[SQL: SELECT \$1\]/);
  });

  it('EX-06: an object, a list of one and a list of two are parameters', async () => {
    const statement = text('INSERT INTO item (name) VALUES (:name)');
    await engine.execute(statement, { name: 'a' });
    await engine.execute(statement, [{ name: 'b' }]);
    await engine.execute(statement, [{ name: 'c' }, { name: 'd' }]);
    expect(await items.names()).toEqual(['a', 'b', 'c', 'd']);
  });

  it('EX-09: with noParameters a text without values is sent as it was written', async () => {
    const slice = text('SELECT (ARRAY[1, 2, 3])[1 :n] FROM (VALUES (2)) AS v(n) WHERE 5 % 3 = 2');
    expect(await engine.scalar(slice, undefined, { noParameters: true })).toEqual([1, 2]);
    expect(await failureOf(engine.scalar(slice))).toBeInstanceOf(StatementError);
    const failure = await failureOf(engine.execute(text('SELECT :x'), undefined, { noParameters: true }));
    expect(failure).toBeInstanceOf(ProgrammingError);
  });

  it('EX-10: execDriverSql takes $1 and its values', async () => {
    expect(await engine.execDriverSql('SELECT $1::int + $2::int AS sum', [1, 2]).scalar()).toBe(3);
  });

  it('EX-11: a row works as parameters', async () => {
    const row = await engine.execute(text("SELECT 'x' AS name")).one();
    expect(await engine.scalar(text('SELECT :name::text'), row)).toBe('x');
  });
});

describe('errors', () => {
  it('EX-12: bad SQL is a DBAPIError whose cause is the error of the driver', async () => {
    const error = await failureOf(engine.execute(text('SELECT nonsense')));
    expect(error).toBeInstanceOf(DBAPIError);
    expect((error as DBAPIError).cause).toBeInstanceOf(pg.DatabaseError);
  });

  it('EX-15: an exception while parameters are put in is a StatementError with the SQL', async () => {
    const builder = {
      compile: (): never => {
        throw new RangeError('broken builder');
      },
    };
    const error = await failureOf(engine.execute(builder));
    expect(error).toBeInstanceOf(StatementError);
    expect(String(error)).toContain('broken builder');
    const failure = new RangeError('broken getter');
    const values = {
      get a(): never {
        throw failure;
      },
    };
    const insertion = text('INSERT INTO item (name) VALUES (:a)');
    for (const parameters of [values, [{ a: 'b' }, values]]) {
      const unread = await failureOf(engine.execute(insertion, parameters));
      expect(unread).toBeInstanceOf(StatementError);
      expect(unread).toMatchObject({ cause: failure, statement: 'INSERT INTO item (name) VALUES ($1)' });
      expect(String(unread)).toContain("the value of the bind ':a' cannot be read: broken getter");
    }
    const missing = await failureOf(engine.execute(text('SELECT :never AS n')));
    expect(missing).toBeInstanceOf(StatementError);
    expect((missing as StatementError).statement).toMatch(/^SELECT .* AS n$/);
    expect(String(missing)).toMatch(/never[\s\S]*SELECT .* AS n/);
  });

  it('EX-48: refused on connect is an OperationalError that invalidates nothing', async () => {
    const lost = items.engine({}, 'postgresql://nobody@127.0.0.1:1/none');
    const error = await failureOf(lost.execute(one));
    expect(error).toBeInstanceOf(OperationalError);
    expect((error as DBAPIError).connectionInvalidated).toBe(false);
  });

  it('EX-48: an error that is not of the driver passes asyncCreator as it is', async () => {
    const failure = new RangeError('no token');
    const creating = items.engine({ asyncCreator: () => Promise.reject(failure) });
    expect(await failureOf(creating.execute(one))).toBe(failure);
  });
});

describe('execution options', () => {
  it('EX-20: those of the engine are on its connections, which override them in place', async () => {
    engine.updateExecutionOptions({ timeout: 1_000 });
    const connection = await engine.connect();
    expect(connection.getExecutionOptions().timeout).toBe(1_000);
    expect(await connection.executionOptions({ timeout: 2_000 })).toBe(connection);
    engine.updateExecutionOptions({ timeout: 3_000 });
    expect([connection.getExecutionOptions().timeout, engine.getExecutionOptions().timeout]).toEqual([
      2_000, 3_000,
    ]);
    await connection.close();
  });

  it('EX-21: an engine made of another adds to its options, and shares its pool also after dispose', async () => {
    const child = engine.executionOptions({ timeout: 1_000 });
    const grandchild = child.executionOptions({ prepare: false });
    await child.dispose();
    expect(grandchild.getExecutionOptions()).toEqual({ timeout: 1_000, prepare: false });
    expect(engine.getExecutionOptions()).toEqual({});
    expect([child.pool, grandchild.pool]).toEqual([engine.pool, engine.pool]);
  });

  it('EX-23: those of a call are added to those of the connection', async () => {
    const seen: unknown[] = [];
    engine.on('beforeExecute', ({ options }) => void seen.push(options));
    await engine.connect(async (connection) => {
      await connection.executionOptions({ timeout: 1_000, prepare: true });
      await connection.execute(one, undefined, { timeout: 2_000 });
    });
    expect(seen).toEqual([{ timeout: 2_000, prepare: true }]);
  });

  it('EX-25: options go from engine to engine to connection', async () => {
    const connection = await engine
      .executionOptions({ timeout: 7 })
      .executionOptions({ readOnly: true })
      .connect();
    expect(connection.getExecutionOptions()).toEqual({ timeout: 7, readOnly: true });
    await connection.close();
  });

  it('EX-38: listeners see the options of a connection and may add to them', async () => {
    engine.on('setConnectionExecutionOptions', ({ options }) => {
      options.loggingToken = 'added';
    });
    const connection = await engine.connect();
    await connection.executionOptions({ timeout: 5 });
    expect(connection.getExecutionOptions()).toEqual({ timeout: 5, loggingToken: 'added' });
    await connection.close();
    const listen = () => engine.on('setEngineExecutionOptions' as 'begin', () => undefined);
    expect(listen).toThrow(InvalidRequestError);
  });

  it('X-29: a level that does not exist is an ArgumentError and changes nothing', async () => {
    const wrong = { isolationLevel: 'FOO' as 'SERIALIZABLE' };
    const connection = await engine.connect();
    expect(await failureOf(connection.executionOptions({ timeout: 5, ...wrong }))).toBeInstanceOf(
      ArgumentError,
    );
    expect(connection.getExecutionOptions()).toEqual({});
    await connection.close();
    expect(() => engine.executionOptions(wrong)).toThrow(ArgumentError);
    expect(() => engine.updateExecutionOptions(wrong)).toThrow(ArgumentError);
    expect(engine.getExecutionOptions()).toEqual({});
  });

  it('refuses an isolation level with a statement', async () => {
    const options = { timeout: 5_000, isolationLevel: 'SERIALIZABLE' };
    expect(await failureOf(engine.execute(one, undefined, options))).toBeInstanceOf(ArgumentError);
  });
});

describe('events', () => {
  it('EX-26: engineConnect once per connection, with that connection', async () => {
    const seen: unknown[] = [];
    engine.on('engineConnect', ({ connection }) => void seen.push(connection));
    const connection = await engine.connect();
    connection.invalidate();
    await connection.execute(one);
    await connection.close();
    expect(seen).toEqual([connection]);
  });

  it('EX-27: listeners of one engine hear nothing of another; those of a connection come in addition, and first', async () => {
    const seen: string[] = [];
    const other = items.engine();
    engine.on('beforeExecute', () => void seen.push('engine'));
    other.on('beforeExecute', () => void seen.push('other'));
    await engine.connect(async (connection) => {
      connection.on('beforeExecute', () => void seen.push('connection'));
      await connection.execute(one);
    });
    expect(seen).toEqual(['connection', 'engine']);
  });

  it('EX-27: a channel of node:diagnostics_channel hears of all engines', async () => {
    const heard: unknown[] = [];
    const note = (event: unknown): void => void heard.push((event as { engine: unknown }).engine);
    const engines = [engine, items.engine()];
    subscribe('nest-async-engine:beforeExecute', note);
    for (const each of engines) await each.execute(one);
    unsubscribe('nest-async-engine:beforeExecute', note);
    expect(heard).toEqual(engines);
  });

  it('EX-30: execDriverSql has no beforeExecute and no afterExecute', async () => {
    const seen: string[] = [];
    for (const name of [
      'beforeExecute',
      'afterExecute',
      'beforeCursorExecute',
      'afterCursorExecute',
    ] as const)
      engine.on(name, () => void seen.push(name));
    await engine.execDriverSql('SELECT 1');
    expect(seen).toEqual(['beforeCursorExecute', 'afterCursorExecute']);
  });

  it('EX-31: a listener added after the connection was opened is heard', async () => {
    const connection = await engine.connect();
    let count = 0;
    engine.on('beforeExecute', () => void (count += 1));
    await connection.execute(one);
    await connection.close();
    expect(count).toBe(1);
  });

  it('EX-33: beforeExecute may replace parameters, of one set and of many', async () => {
    const statement = text('INSERT INTO item (name) VALUES (:name)');
    engine.on('beforeExecute', ({ parameters }) => ({
      parameters: Array.isArray(parameters) ? [{ name: 'y' }, { name: 'z' }] : { name: 'x' },
    }));
    await engine.execute(statement, { name: 'a' });
    await engine.execute(statement, [{ name: 'b' }, { name: 'c' }]);
    expect(await items.names()).toEqual(['x', 'y', 'z']);
  });

  it('EX-33: something else than that is an InvalidRequestError', async () => {
    engine.on('beforeExecute', () => ({ multiparams: [] }) as object);
    expect(await failureOf(engine.execute(one))).toBeInstanceOf(InvalidRequestError);
  });

  it('EX-34: beforeExecute may replace the statement', async () => {
    engine.on('beforeExecute', () => ({ statement: text('SELECT 2 AS one') }));
    expect(await engine.scalar(one)).toBe(2);
  });

  it('EX-37: beforeCursorExecute may replace SQL and values; begin has nothing to give back', async () => {
    engine.on('beforeCursorExecute', ({ sql, parameters }) => ({
      sql: `${sql} + 1`,
      parameters: [Number(parameters[0]) * 10],
    }));
    engine.on('begin', () => 'ignored' as unknown as void);
    expect(await engine.begin((connection) => connection.scalar(text('SELECT :n::int'), { n: 4 }))).toBe(41);
  });

  it('EX-39: on the engine and on a connection, in the order of what happens', async () => {
    const seen: string[] = [];
    const connection = await engine.connect();
    record(engine, seen);
    const own: string[] = [];
    record(connection, own);
    const root = await connection.begin();
    await (await connection.beginNested()).rollback();
    await (await connection.beginNested()).commit();
    await root.commit();
    await connection.execute(one);
    await connection.rollback();
    await connection.close();
    const order = [
      'begin',
      'savepoint',
      'rollbackSavepoint',
      'savepoint',
      'releaseSavepoint',
      'commit',
      'begin',
      'rollback',
    ];
    expect([seen, own]).toEqual([order, order]);
  });
});

describe('handleError', () => {
  it('EX-40: has the error of the driver, the one that is thrown, and the statement', async () => {
    const seen: HandleErrorEvent<unknown>[] = [];
    engine.on('handleError', (event) => void seen.push({ ...event }));
    const error = await failureOf(engine.execute(text('SELECT nonsense')));
    expect(seen).toMatchObject([
      { error, originalError: (error as DBAPIError).cause, statement: 'SELECT nonsense' },
    ]);
  });

  it('EX-41: errors that are returned or thrown replace it; undefined keeps the one before; a throw is the last word', async () => {
    const first = new RangeError('first');
    const chained: unknown[] = [];
    engine.on('handleError', () => first);
    engine.on('handleError', ({ chainedError }) => void chained.push(chainedError));
    const error = await failureOf(engine.execute(text('SELECT nonsense')));
    expect([error, chained]).toEqual([first, [first]]);
    expect(first.cause).toBeInstanceOf(ProgrammingError);
    const thrown = new RangeError('thrown');
    let calls = 0;
    engine.on('handleError', () => {
      throw thrown;
    });
    engine.on('handleError', () => void (calls += 1));
    expect([await failureOf(engine.execute(text('SELECT nonsense'))), calls]).toEqual([thrown, 0]);
  });

  it('EX-41: a replaced error leaves the transaction as failed as it is', async () => {
    const replaced = new RangeError('replaced');
    engine.once('handleError', () => replaced);
    const connection = await engine.connect();
    expect(await failureOf(connection.execute(text('SELECT nonsense')))).toBe(replaced);
    expect(connection.getTransaction()?.state).toBe('failed');
    await connection.close();
  });

  it('EX-42: is asked for errors of parameters too, which are no loss', async () => {
    const seen: boolean[] = [];
    engine.on('handleError', ({ isDisconnect }) => void seen.push(isDisconnect));
    await failureOf(engine.execute(text('SELECT :missing')));
    expect(seen).toEqual([false]);
  });

  it.each([true, false])(
    'EX-44: isDisconnect set to %s is in the error that is thrown',
    async (isDisconnect) => {
      engine.on('handleError', (event) => {
        event.isDisconnect = isDisconnect;
      });
      const connection = await engine.connect();
      const statement = isDisconnect
        ? text('SELECT nonsense')
        : text('SELECT pg_terminate_backend(pg_backend_pid())');
      const error = await failureOf(connection.execute(statement));
      expect([(error as DBAPIError).connectionInvalidated, connection.invalidated]).toEqual([
        isDisconnect,
        isDisconnect,
      ]);
      await connection.close();
    },
  );

  it.each([
    [true, 2],
    [false, 1],
  ])('EX-45: invalidatesPool %s replaces %i of two connections', async (invalidatesPool, replaced) => {
    const wide = items.engine({ poolSize: 2 });
    let opened = 0;
    wide.on('connect', () => void (opened += 1));
    const [first, second] = await Promise.all([wide.connect(), wide.connect()]);
    await second.close();
    wide.on('handleError', (event) => {
      event.invalidatesPool = invalidatesPool;
    });
    const error = await failureOf(first.execute(text('SELECT pg_terminate_backend(pg_backend_pid())')));
    expect(error).toBeInstanceOf(ConnectionLostError);
    await first.close();
    const again = await Promise.all([wide.connect(), wide.connect()]);
    await Promise.all(again.map((connection) => connection.close()));
    expect(opened - 2).toBe(replaced);
  });

  it('EX-46: is of an engine alone', async () => {
    const connection = await engine.connect();
    expect(() => connection.on('handleError', () => undefined)).toThrow(InvalidRequestError);
    await connection.close();
  });

  it('EX-46: is told when the question for the isolation level fails', async () => {
    const seen: unknown[] = [];
    await engine.connect(async (connection) => {
      await failureOf(connection.execute(text('SELECT 1 / 0')));
      engine.on('handleError', ({ statement, error }) => void seen.push([statement, error]));
      expect(await failureOf(connection.getIsolationLevel())).toBeInstanceOf(DBAPIError);
    });
    expect(seen).toEqual([['SHOW transaction_isolation', expect.objectContaining({ sqlState: '25P02' })]]);
  });

  it('EX-49: on connect there is no connection; where an AsyncConnection opens one, it is there; replaced errors are thrown', async () => {
    const lost = items.engine({}, 'postgresql://nobody@127.0.0.1:1/none');
    const replaced = new RangeError('replaced');
    const seen: unknown[] = [];
    lost.on('handleError', ({ connection, isConnecting }) => {
      seen.push([connection === undefined, isConnecting]);
      return replaced;
    });
    expect(await failureOf(lost.execute(one))).toBe(replaced);
    expect(await failureOf(lost.connect())).toBe(replaced);
    expect(seen).toEqual([
      [true, true],
      [false, true],
    ]);
  });
});

describe('connecting', () => {
  it('EX-51: a connect listener may run statements; ten first users have one first connection', async () => {
    const wide = items.engine({ poolSize: 10 });
    let first = 0;
    const told: unknown[] = [];
    wide.on('firstConnect', () => void (first += 1));
    wide.on('connect', async ({ driverConnection }) => {
      told.push(driverConnection);
      await (driverConnection as pg.Client).query("SET application_name TO 'prepared'");
    });
    const connections = await Promise.all(Array.from({ length: 10 }, () => wide.connect()));
    expect(first).toBe(1);
    // Where a connection takes long to open, the pool may have opened one more.
    expect(told.length).toBeGreaterThanOrEqual(10);
    expect(new Set(told).size).toBe(told.length);
    expect(await connections[0]?.scalar(text('SHOW application_name'))).toBe('prepared');
    await Promise.all(connections.map((connection) => connection.close()));
  });

  it('EX-51: nothing is asked of a server that was connected to', async () => {
    await using proxy = await startFaultyProxy(items.database.url);
    const far = items.engine({}, proxy.url);
    await far.connect(async (connection) => expect(connection.inTransaction()).toBe(false));
    expect(proxy.statements).toEqual([]);
    await far.dispose();
  });

  it('EX-51: firstConnect is awaited, runs statements, and is told before connect', async () => {
    const order: string[] = [];
    engine.on('firstConnect', async ({ driverConnection }) => {
      await (driverConnection as pg.Client).query('SELECT 1');
      order.push('firstConnect');
    });
    engine.on('connect', async ({ driverConnection }) => {
      await (driverConnection as pg.Client).query('SELECT 1');
      order.push('connect');
    });
    await engine.connect(async () => void order.push('work'));
    expect(order).toEqual(['firstConnect', 'connect', 'work']);
  });

  it('EX-52: asyncCreator supplies the connection', async () => {
    const creating = items.engine({
      asyncCreator: async () => {
        const client = new pg.Client({
          connectionString: items.database.url,
          application_name: 'created',
        });
        await client.connect();
        return client;
      },
    });
    await creating.execute(insert('a'));
    expect(await creating.scalar(text('SHOW application_name'))).toBe('created');
    expect(await items.names()).toEqual(['a']);
  });
});
