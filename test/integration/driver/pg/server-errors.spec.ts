import { inspect } from 'node:util';
import {
  ArgumentError,
  CheckViolationError,
  createAsyncEngine,
  DataError,
  DBAPIError,
  DeadlockDetectedError,
  ExclusionViolationError,
  ForeignKeyViolationError,
  InterfaceError,
  LockNotAvailableError,
  NotNullViolationError,
  ProgrammingError,
  QueryCanceledError,
  SerializationFailureError,
  StatementError,
  text,
  UniqueViolationError,
  type AsyncEngine,
} from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Barrier } from '../../../support/process/barrier.js';
import { startFaultyProxy, type FaultyProxy } from '../../../support/server/faulty-proxy.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';
import { failureOf } from '../../../support/items.js';

let database: TestDatabase;
let proxy: FaultyProxy;
let engine: AsyncEngine;

const run = (sql: string, values: readonly unknown[] = []) => engine.execDriverSql(sql, values);

const refusalOf = async (work: PromiseLike<unknown>): Promise<DBAPIError> =>
  (await failureOf(work)) as DBAPIError;

/** The connection is neither lost nor left in a transaction by `work`: the same session answers. */
async function keepsSession(work: () => PromiseLike<unknown>): Promise<boolean> {
  const before = await run('SELECT pg_backend_pid()').scalar();
  await Promise.resolve(work()).catch(() => undefined);
  return (await run('SELECT pg_backend_pid()').scalar()) === before;
}

beforeAll(async () => {
  database = await createDatabase('errors');
  await database.query(`
    CREATE TABLE owner (id int PRIMARY KEY);
    CREATE TABLE item (
      id int CONSTRAINT item_key PRIMARY KEY,
      name text NOT NULL DEFAULT 'x',
      price int CONSTRAINT item_price CHECK (price > 0),
      owner int CONSTRAINT item_owner REFERENCES owner DEFERRABLE INITIALLY IMMEDIATE,
      span int4range,
      CONSTRAINT item_span EXCLUDE USING gist (span WITH &&)
    );
    CREATE TABLE late (id int CONSTRAINT late_key UNIQUE DEFERRABLE INITIALLY DEFERRED);
  `);
});

beforeEach(async () => {
  await database.query('TRUNCATE item, late, owner');
  await database.query("INSERT INTO item (id, span) VALUES (1, '[1,5)')");
  proxy = await startFaultyProxy(database.url);
  engine = createAsyncEngine(proxy.url, { poolSize: 1, maxOverflow: 0 });
});

afterEach(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.aclose();
  await proxy.close();
});

afterAll(() => database.drop());

describe('what the server refuses', () => {
  it.each([
    ['INSERT INTO item (id) VALUES (1)', UniqueViolationError, { constraint: 'item_key', table: 'item' }],
    ['INSERT INTO item (id, owner) VALUES (2, 9)', ForeignKeyViolationError, { constraint: 'item_owner' }],
    [
      'INSERT INTO item (id, name) VALUES (2, NULL)',
      NotNullViolationError,
      { table: 'item', column: 'name' },
    ],
    ['INSERT INTO item (id, price) VALUES (2, -1)', CheckViolationError, { constraint: 'item_price' }],
    ["INSERT INTO item (id, span) VALUES (2, '[2,3)')", ExclusionViolationError, { constraint: 'item_span' }],
    ['SELECT 1 / 0', DataError, { sqlState: '22012' }],
    ["SELECT 'x'::int", DataError, { sqlState: '22P02' }],
    ['SELEC 1', ProgrammingError, { sqlState: '42601' }],
    ['SELECT nonsense', ProgrammingError, { sqlState: '42703' }],
    ['SELECT * FROM nowhere', ProgrammingError, { sqlState: '42P01' }],
  ])('%s', async (sql, type, facts) => {
    const error = await refusalOf(run(sql));
    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject({ ...facts, statement: sql, connectionInvalidated: false });
  });

  it('comes with detail, hint and schema', async () => {
    const error = await refusalOf(run('INSERT INTO item (id) VALUES (1)'));
    expect(error).toMatchObject({ detail: 'Key (id)=(1) already exists.', schema: 'public' });
    expect((await refusalOf(run('SELECT lenght($1)', ['x']))).hint).toMatch(/No function matches/);
  });

  it('names the statement in its message', async () => {
    const error = await refusalOf(run('INSERT INTO item (id) VALUES ($1)', [1]));
    expect(error.message).toMatch(/duplicate key.*\n\[SQL: INSERT INTO item \(id\) VALUES \(\$1\)\]$/);
  });

  it("has the driver's error as its cause", async () => {
    expect((await refusalOf(run('SELECT 1 / 0'))).cause).toMatchObject({ code: '22012', severity: 'ERROR' });
  });

  it('knows the parameters as they were given and shows them to no logger', async () => {
    const error = await refusalOf(run('SELECT 1 / $1::int, $2::text', [0, 'secret']));
    expect(error.parameters).toEqual([0, 'secret']);
    expect(`${JSON.stringify(error)}${inspect(error)}${error.stack}`).not.toContain('secret');
  });

  it('at the end of an autocommitted statement names that statement', async () => {
    const sql = 'INSERT INTO late VALUES ($1), ($1)';
    expect(await refusalOf(run(sql, [1]))).toMatchObject({
      code: 'UNIQUE_VIOLATION',
      constraint: 'late_key',
      statement: sql,
      parameters: [1],
    });
  });

  it('at COMMIT is the error of the transaction, and nothing is stored', async () => {
    const work = engine.transaction(() => run('INSERT INTO late VALUES (1), (1)'));
    await expect(work).rejects.toMatchObject({ code: 'UNIQUE_VIOLATION', statement: 'COMMIT' });
    expect(await run('SELECT * FROM late').all()).toEqual([]);
  });

  it('keeps the connection', async () => expect(await keepsSession(() => run('SELECT 1 / 0'))).toBe(true));
});

describe('conflicts', () => {
  it('a deadlock', async () => {
    await database.query('INSERT INTO owner VALUES (1), (2)');
    const wide = createAsyncEngine(database.url, { settings: { deadlock_timeout: '50ms' } });
    const barrier = new Barrier(2);
    const lock = (id: number) => wide.execDriverSql('SELECT FROM owner WHERE id = $1 FOR UPDATE', [id]);
    const crossing = (first: number, second: number) =>
      wide.transaction(async () => {
        await lock(first);
        await barrier.arrive();
        await lock(second);
      });
    const settled = await Promise.allSettled([crossing(1, 2), crossing(2, 1)]);
    expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(settled.find((one) => one.status === 'rejected')?.reason).toBeInstanceOf(DeadlockDetectedError);
    expect(wide.pool.checkedOut()).toBe(0);
    await wide.aclose();
  });

  it('a serialization failure', async () => {
    await database.query('INSERT INTO owner VALUES (1)');
    const options = { isolationLevel: 'REPEATABLE READ' as const };
    const work = engine.transaction(async () => {
      await run('SELECT * FROM owner');
      await database.query('UPDATE owner SET id = 2');
      await run('UPDATE owner SET id = 3');
    }, options);
    await expect(work).rejects.toBeInstanceOf(SerializationFailureError);
  });

  it('a lock that is not available', async () => {
    await using holder = await createAsyncEngine(database.url).connect();
    await holder.execDriverSql('LOCK TABLE item');
    await expect(run('LOCK TABLE item NOWAIT')).rejects.toMatchObject({ sqlState: '25P01' });
    const work = engine.transaction(() => run('LOCK TABLE item NOWAIT'));
    await expect(work).rejects.toBeInstanceOf(LockNotAvailableError);
    await holder.rollback();
  });

  it("the server's own statement_timeout", async () => {
    const work = engine.transaction(() => run('SELECT pg_sleep(30)'), { statementTimeout: 20 });
    await expect(work).rejects.toBeInstanceOf(QueryCanceledError);
  });
});

describe('a value that cannot be encoded', () => {
  const circular: Record<string, unknown> = {};
  circular['self'] = circular;
  const values: [string, unknown][] = [
    ['a circular object', circular],
    ['a bigint inside JSON', { n: 1n }],
    ['an invalid Date', new Date(Number.NaN)],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a toPostgres that throws', { toPostgres: () => expect.fail('no') }],
  ];

  it.each(values)('%s: nothing is sent', async (_, value) => {
    await run('SELECT 1');
    proxy.reset();
    const error = await refusalOf(run('SELECT $1::int, $2', [1, value]));
    expect(error).toBeInstanceOf(StatementError);
    expect(error).not.toBeInstanceOf(DBAPIError);
    expect(error.message).toMatch(/^parameter \$2 cannot be sent: /);
    expect(proxy.messages).toEqual([]);
  });

  it('leaves a transaction in progress usable', async () => {
    await engine.transaction(async () => {
      await run('INSERT INTO owner VALUES (1)');
      await refusalOf(run('INSERT INTO owner VALUES ($1)', [circular]));
      await run('INSERT INTO owner VALUES (2)');
    });
    expect(await run('SELECT id FROM owner ORDER BY id').all()).toEqual([{ id: 1 }, { id: 2 }]);
  });

  it('leaves a transaction usable whose first statement it was', async () => {
    await engine.transaction(async () => {
      await refusalOf(run('INSERT INTO owner VALUES ($1)', [circular]));
      await run('INSERT INTO owner VALUES (2)');
    });
    expect(await run('SELECT id FROM owner').all()).toEqual([{ id: 2 }]);
  });

  it('leaves nested transactions usable', async () => {
    await engine.transaction(async () => {
      await engine.transaction(() => run('INSERT INTO owner VALUES (1)'));
      await refusalOf(engine.transaction(() => run('INSERT INTO owner VALUES ($1)', [circular])));
      await engine.transaction(() => run('INSERT INTO owner VALUES (2)'));
    });
    expect(await run('SELECT id FROM owner ORDER BY id').all()).toEqual([{ id: 1 }, { id: 2 }]);
  });
});

describe('a type parser that throws', () => {
  beforeEach(() => {
    const parser = (value: string): string => (value === '13' ? expect.fail('unlucky') : value);
    engine = createAsyncEngine(proxy.url, { poolSize: 1, maxOverflow: 0, types: { int4: parser } });
  });

  it('says that the statement has run and names it', async () => {
    const sql = 'INSERT INTO owner VALUES (1), (13), (2) RETURNING id';
    const error = await refusalOf(run(sql));
    expect(error).toBeInstanceOf(StatementError);
    expect(error.message).toMatch(
      /^the statement has run, but a value of its result could not be decoded: unlucky/,
    );
    expect(error.statement).toBe(sql);
    expect(await database.query('SELECT id FROM owner')).toHaveLength(3);
  });

  it('keeps the connection', async () => expect(await keepsSession(() => run('SELECT 13'))).toBe(true));

  it('leaves a transaction usable', async () => {
    await engine.transaction(async () => {
      await refusalOf(run('SELECT 13'));
      await run('INSERT INTO owner VALUES (1)');
    });
    expect(await database.query('SELECT id FROM owner')).toEqual([{ id: 1 }]);
  });

  it('ends a stream behind the rows that were good, and its portal', async () => {
    await using connection = await engine.connect();
    const seen: unknown[] = [];
    const work = async (): Promise<void> => {
      const rows = connection.stream(text('SELECT generate_series(1, 20) AS n'), undefined, { yieldPer: 5 });
      for await (const row of rows) seen.push(row);
    };
    await expect(work()).rejects.toThrow(/unlucky/);
    expect(seen).toHaveLength(10);
    const portals = await connection
      .execDriverSql(`SELECT name FROM pg_cursors WHERE name LIKE 'nae%'`)
      .all();
    expect(portals).toEqual([]);
  });
});

describe('COPY', () => {
  it.each([
    ['COPY owner FROM STDIN', /COPY FROM STDIN has no rows to send.*copyFrom/],
    ['COPY item TO STDOUT', /COPY TO STDOUT has no result.*copyTo/],
    ['COPY late TO STDOUT', /COPY TO STDOUT has no result/],
  ])('%s is refused and the connection works on', async (sql, message) => {
    const error = await refusalOf(run(sql));
    expect(error).toBeInstanceOf(InterfaceError);
    expect(error.message).toMatch(message);
    expect(error.statement).toBe(sql);
    expect(await keepsSession(() => run(sql))).toBe(true);
    expect([await run('SELECT 1 AS a').all(), await run('SELECT 2 AS a').all()]).toEqual([
      [{ a: 1 }],
      [{ a: 2 }],
    ]);
  });

  it('FROM STDIN fails a transaction', async () => {
    const work = engine.transaction(async () => {
      await run('INSERT INTO owner VALUES (1)');
      await run('COPY owner FROM STDIN');
    });
    await expect(work).rejects.toBeInstanceOf(InterfaceError);
    expect(await database.query('SELECT * FROM owner')).toEqual([]);
  });

  it('TO STDOUT leaves a transaction usable', async () => {
    await engine.transaction(async () => {
      await refusalOf(run('COPY item TO STDOUT'));
      await run('INSERT INTO owner VALUES (1)');
    });
    expect(await database.query('SELECT * FROM owner')).toHaveLength(1);
  });

  it('FROM STDIN with statements behind it ends the session, as the server has it, and no other', async () => {
    const pooled = await engine.rawConnection();
    const many = pooled.session.executeMany(
      [],
      [{ text: 'COPY owner FROM STDIN' }, { text: 'SELECT 9 AS a' }],
    );
    await expect(many).rejects.toMatchObject({ code: 'CONNECTION_LOST', sqlState: '08P01' });
    await pooled.close();
    expect(await run('SELECT 1 AS a').all()).toEqual([{ a: 1 }]);
  });
});

describe('odd texts', () => {
  it.each(['', ' ', '-- a comment'])('%o returns no rows', async (sql) => {
    const result = await run(sql);
    expect([result.returnsRows, result.rowCount]).toEqual([false, -1]);
  });

  it('an empty one inside a transaction', async () => {
    await engine.transaction(async () => {
      await run('');
      await run('INSERT INTO owner VALUES (1)');
    });
    expect(await database.query('SELECT * FROM owner')).toHaveLength(1);
  });

  it('several statements in one are refused by the server', async () => {
    const error = await refusalOf(run('DELETE FROM item; SELECT 1'));
    expect(error).toMatchObject({ code: 'PROGRAMMING', sqlState: '42601' });
    expect(error.message).toMatch(/cannot insert multiple commands into a prepared statement/);
    expect(await database.query('SELECT id FROM item')).toHaveLength(1);
  });

  it('a zero byte in it is refused and the connection works on', async () => {
    const sql = 'SELECT 1 \0 AS a';
    expect(await refusalOf(run(sql))).toBeInstanceOf(ArgumentError);
    expect(await keepsSession(() => run(sql))).toBe(true);
  });

  it('a zero byte in a value is refused and the connection works on', async () => {
    const send = () => run('SELECT $1::text', ['\0']);
    expect(await refusalOf(send())).toMatchObject({ sqlState: '22021' });
    expect(await keepsSession(send)).toBe(true);
  });

  it('a text of a megabyte', async () => {
    const long = 'x'.repeat(1_000_000);
    expect(await run(`SELECT length('${long}') AS n`).all()).toEqual([{ n: 1_000_000 }]);
  });
});

describe('two callers on one connection', () => {
  it('are served in order, each with its own answer', async () => {
    await using connection = await engine.connect();
    const order: number[] = [];
    const ask = async (n: number, sql: string) => {
      const value = await connection.execDriverSql(sql).scalar();
      order.push(n);
      return value;
    };
    const answers = await Promise.all([
      ask(1, 'SELECT 1 FROM pg_sleep(0.03)'),
      ask(2, 'SELECT 2'),
      ask(3, 'SELECT 3'),
    ]);
    expect([answers, order]).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
  });

  it('get each their own error in autocommit', async () => {
    await using connection = await engine.connect();
    await connection.executionOptions({ isolationLevel: 'AUTOCOMMIT' });
    const settled = await Promise.allSettled([
      connection.execDriverSql('SELECT 1 / 0'),
      connection.execDriverSql('SELECT 2').scalar(),
      connection.execDriverSql('SELEC'),
      connection.execDriverSql('SELECT 4').scalar(),
    ]);
    expect(settled).toMatchObject([
      { reason: { sqlState: '22012' } },
      { value: 2 },
      { reason: { sqlState: '42601' } },
      { value: 4 },
    ]);
  });

  it('learn, in one transaction, which statement of the other failed it', async () => {
    await using connection = await engine.connect();
    await connection.execDriverSql('SELECT 1');
    const [first, second] = await Promise.all([
      refusalOf(connection.execDriverSql('SELECT 1 / 0')),
      refusalOf(connection.execDriverSql('SELECT 2')),
    ]);
    expect(first).toMatchObject({ sqlState: '22012', statement: 'SELECT 1 / 0' });
    expect(second).toMatchObject({ sqlState: '25P02', statement: 'SELECT 2', cause: first });
  });

  it('may start with the first statement at the same time', async () => {
    await using connection = await engine.connect();
    await Promise.all([1, 2, 3].map((id) => connection.execDriverSql('INSERT INTO owner VALUES ($1)', [id])));
    await connection.commit();
    expect(await database.query('SELECT * FROM owner')).toHaveLength(3);
  });
});

describe('an error of a script', () => {
  const script = (sql: string) =>
    engine.connect((connection) => connection.run((client) => client.query(sql)));
  const long = Array.from({ length: 3_000 }, (_, n) => `SELECT ${n};`).join('\n');

  it('says on which line it is, and shows the text around it only', async () => {
    const error = (await refusalOf(script(`${long}\nSELECT * FROM nowhere;`))) as DBAPIError;
    expect({ line: error.line, position: error.position, sqlState: error.sqlState }).toEqual({
      line: 3_001,
      position: long.length + 2 + 'SELECT * FROM '.length,
      sqlState: '42P01',
    });
    expect(error.message).toContain('line 3001 of the script');
    expect(error.message.length).toBeLessThan(2_000);
  });

  it.each([
    ['CREATE TABLE copied (a int); COPY copied FROM stdin;\n1\n\\.\n', /--inserts/],
    ['SELECT 1; VACUUM', /AUTOCOMMIT/],
  ])('explains what a script cannot have: %o', async (sql, advice) => {
    await expect(script(sql)).rejects.toThrow(advice);
  });
});

it('says where in a function, and how grave, an error is', async () => {
  await database.query(
    "CREATE OR REPLACE FUNCTION refuse() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$",
  );
  expect(await refusalOf(run('SELECT refuse()'))).toMatchObject({
    where: expect.stringContaining('PL/pgSQL function refuse() line 1 at RAISE'),
    severity: 'ERROR',
    routine: 'exec_stmt_raise',
    position: undefined,
  });
});
