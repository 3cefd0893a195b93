import type { EventEmitter } from 'node:events';
import type { Client } from 'pg';
import {
  createAsyncEngine,
  IllegalStateError,
  IntegrityError,
  NotSupportedError,
  OperationalError,
  ProgrammingError,
  text,
  type AsyncEngine,
  type AsyncEngineOptions,
} from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { LogLines } from '../support/doubles/log-lines.js';
import { eventually } from '../support/process/barrier.js';
import { startFaultyProxy } from '../support/server/faulty-proxy.js';
import { createDatabase, type TestDatabase } from '../support/server/postgres.js';
import { failureOf } from '../support/items.js';
import { storedNames } from '../support/process/outcome.js';
import { TestEngines } from '../support/test-engines.js';

let database: TestDatabase;
const engines = new TestEngines();

function engineWith(options: AsyncEngineOptions = {}, url = database.url): AsyncEngine {
  return engines.add(createAsyncEngine(url, { poolSize: 1, maxOverflow: 0, ...options }));
}

beforeAll(async () => {
  database = await createDatabase('postgres');
  await database.query(`CREATE TABLE item (id int CONSTRAINT item_key PRIMARY KEY, name text)`);
});

afterEach(async () => {
  await engines.end();
  await database.query('TRUNCATE item');
});

afterAll(() => database.drop());

describe('the dialect', () => {
  it('PG-01: a goodbye that gets no answer is followed by a hard end, without an error', async () => {
    const proxy = await startFaultyProxy(database.url);
    const engine = createAsyncEngine(proxy.url);
    await engine.execDriverSql('SELECT 1');
    proxy.stall();
    expect(proxy.connections).toBe(1);
    await engine.aclose();
    expect(engine.pool.checkedIn()).toBe(0);
    proxy.resume();
    await eventually(async () => expect(proxy.connections).toBe(0));
    await proxy.close();
  });

  it.each([
    ['a session that the server ends', 'SELECT pg_terminate_backend(pg_backend_pid())', true],
    ['an error of a statement', 'SELECT 1 / 0', false],
    [
      'a cancelled statement, whose class 57 says nothing of the session',
      'DO $$ BEGIN RAISE query_canceled; END $$',
      false,
    ],
    ['a state that a function only claims', `DO $$ BEGIN RAISE SQLSTATE '08006'; END $$`, false],
  ])('PG-04: tells a lost connection: %s', async (_, sql, isLost) => {
    const connection = await engineWith().connect();
    expect(await failureOf(connection.execDriverSql(sql))).toMatchObject({ connectionInvalidated: isLost });
    expect(connection.invalidated).toBe(isLost);
    await connection.close();
  });

  it('PG-12: several hosts in the URL connect', async () => {
    const url = new URL(database.url);
    const address = `${url.hostname}:${url.port}`;
    for (const place of [
      `@${address},${address}${url.pathname}`,
      `@${url.pathname}?host=${address}&host=${address}`,
    ]) {
      const engine = engineWith({}, `postgresql://${url.username}:${url.password}${place}`);
      expect(await engine.execDriverSql('SELECT 1').scalar()).toBe(1);
    }
  });

  it('PG-13: a duplicate key is an IntegrityError with its SQLSTATE and that of its cause', async () => {
    const engine = engineWith();
    const error = await failureOf(engine.execDriverSql('INSERT INTO item VALUES (1), (1)'));
    expect(error).toBeInstanceOf(IntegrityError);
    expect(error).toMatchObject({ sqlState: '23505', cause: { code: '23505' } });
  });

  it('PG-14: an executemany of INSERT and of UPDATE does each set', async () => {
    const engine = engineWith();
    const sets = [1, 2, 3].map((id) => ({ id, näme: `n${id}` }));
    await engine.execute(text('INSERT INTO item VALUES (:id, :näme)'), sets);
    const result = await engine.execute(text('UPDATE item SET name = name || :mark WHERE id = :id'), [
      { id: 1, mark: 'a' },
      { id: 3, mark: 'c' },
    ]);
    expect([await storedNames(database, 'item', 'id'), result.rowCount]).toEqual([['n1a', 'n2', 'n3c'], 2]);
  });

  it('PG-14: its sets travel in a batch under one Sync', async () => {
    await using proxy = await startFaultyProxy(database.url);
    const engine = engineWith({}, proxy.url);
    const mark = text('UPDATE item SET name = name || :mark WHERE id = :id');
    const sets = [1, 2, 3].map((id) => ({ id, mark: `m${id}` }));
    await engine.execute(mark, sets);
    proxy.reset();
    await engine.execute(mark, sets);
    const sent = proxy.messages.filter(({ from }) => from === 'client').map(({ type }) => type);
    expect(sent.filter((type) => type === 'Sync')).toHaveLength(1);
    expect(sent.filter((type) => type === 'Bind').length).toBeGreaterThanOrEqual(3);
    await engine.dispose();
  });

  it('PG-15: an empty statement returns no rows', async () => {
    expect((await engineWith().execDriverSql('')).returnsRows).toBe(false);
  });

  it('PG-17: a ping neither disturbs AUTOCOMMIT nor opens a transaction', async () => {
    const engine = engineWith({ poolPrePing: true, isolationLevel: 'AUTOCOMMIT' });
    await (await engine.connect()).close();
    const connection = await engine.connect();
    const [session] = await database.sessions();
    expect([session?.state, session?.xact_start]).toEqual(['idle', null]);
    await connection.execDriverSql(`INSERT INTO item VALUES (1, 'a')`);
    expect(await storedNames(database, 'item', 'id')).toEqual(['a']);
    await connection.close();
  });

  it('PG-18: class 40 is an OperationalError', async () => {
    const sql = `DO $$ BEGIN RAISE SQLSTATE '40000'; END $$`;
    expect(await failureOf(engineWith().execDriverSql(sql))).toBeInstanceOf(OperationalError);
  });

  it("PG-19: notices arrive at the driver's connection", async () => {
    const logger = new LogLines();
    const connection = await engineWith({ logger }).connect();
    const { driverConnection } = await connection.getRawConnection();
    const notices: unknown[] = [];
    (driverConnection as EventEmitter).on('notice', ({ message }: { message: string }) =>
      notices.push(message),
    );
    await connection.execDriverSql(`DO $$ BEGIN RAISE NOTICE 'hello'; END $$`);
    expect([notices, logger.lines]).toEqual([['hello'], []]);
    await connection.close();
  });

  it('PG-20: at AUTOCOMMIT the server sees no transaction block', async () => {
    const connection = await (
      await engineWith().connect()
    ).executionOptions({ isolationLevel: 'AUTOCOMMIT' });
    const error = await failureOf(connection.execDriverSql(`COMMIT PREPARED 'nobody'`));
    expect(error).toBeInstanceOf(ProgrammingError);
    expect(error).toMatchObject({ sqlState: '42704' });
    await connection.close();
  });

  it('PG-21: a new session is in no transaction', async () => {
    const connection = await engineWith({ settings: { lock_timeout: '1s' } }).connect();
    expect(await database.sessions()).toMatchObject([{ state: 'idle', xact_start: null }]);
    await connection.close();
  });
});

describe('what upstream knows of asyncpg', () => {
  const recreate = (column: string): Promise<unknown> =>
    database.query(`DROP TABLE IF EXISTS plan; CREATE TABLE plan (${column}); INSERT INTO plan VALUES (1)`);

  // ≠: outside a transaction the statement is parsed anew and nobody hears of it.
  it('AP-01: a cached plan of a table that was made anew is healed without an error', async () => {
    const engine = engineWith();
    await recreate('id int');
    await engine.execDriverSql('SELECT * FROM plan');
    await recreate('id bigint');
    expect(await engine.execDriverSql('SELECT * FROM plan').scalar()).toBe('1');
  });

  it('AP-01: as the first statement of a transaction it is healed, too', async () => {
    const engine = engineWith();
    await recreate('id int');
    const select = () => engine.transaction(() => engine.execDriverSql('SELECT * FROM plan').scalar());
    await select();
    await recreate('id bigint');
    expect(await select()).toBe('1');
  });

  it('AP-01: behind another statement of its transaction it is a NotSupportedError once', async () => {
    const engine = engineWith();
    await recreate('id int');
    const select = () =>
      engine.transaction(async () => {
        await engine.execDriverSql('SELECT 1');
        return await engine.execDriverSql('SELECT * FROM plan').scalar();
      });
    await select();
    await recreate('id bigint');
    expect(await failureOf(select())).toBeInstanceOf(NotSupportedError);
    expect(await select()).toBe('1');
  });

  it.each(['repeatable read', 'serializable'])(
    "AP-03: BEGIN keeps the session's own default, %s",
    async (level) => {
      const engine = engineWith({ poolResetOnReturn: 'rollback' });
      const connection = await (await engine.connect()).executionOptions({ isolationLevel: 'AUTOCOMMIT' });
      await connection.execDriverSql(`SET default_transaction_isolation = '${level}'`);
      await connection.close();
      const found = await engine.transaction(() =>
        engine.execDriverSql('SHOW transaction_isolation').scalar(),
      );
      expect(found).toBe(level);
    },
  );

  it.each(['commit', 'rollback'] as const)(
    'AP-04: a statement that was never sent leaves the transaction to %s',
    async (end) => {
      const connection = await engineWith().connect();
      const transaction = await connection.begin();
      await connection.execDriverSql(`INSERT INTO item VALUES (1, 'a')`);
      await failureOf(connection.execDriverSql('SELECT 1', [], { signal: AbortSignal.abort() }));
      expect([transaction.isActive, await storedNames(database, 'item', 'id')]).toEqual([true, []]);
      await transaction[end]();
      expect(await storedNames(database, 'item', 'id')).toEqual(end === 'commit' ? ['a'] : []);
      await connection.close();
    },
  );

  it('AP-06: a rollback of the transaction and then of the connection is no error', async () => {
    const connection = await engineWith().connect();
    const transaction = await connection.begin();
    await connection.execDriverSql('SELECT 1');
    await transaction.rollback();
    await connection.rollback();
    expect(await connection.execDriverSql('SELECT 1').scalar()).toBe(1);
    await connection.close();
  });

  it('AP-07: a session that ends itself is an error, and its block ends cleanly', async () => {
    const engine = engineWith();
    const work = engine.begin((connection) =>
      connection.execDriverSql('SELECT pg_terminate_backend(pg_backend_pid())').all(),
    );
    expect(await failureOf(work)).toMatchObject({ connectionInvalidated: true });
    expect(await engine.execDriverSql('SELECT 1').scalar()).toBe(1);
  });

  // ≠: a ROLLBACK that is sent as a statement is refused; one of the raw client ends the transaction with an error.
  it('AP-08: a transaction that ended behind our back is rolled back, and the next one works', async () => {
    const connection = await engineWith().connect();
    const transaction = await connection.begin();
    await connection.execDriverSql(`INSERT INTO item VALUES (1, 'a')`);
    expect(await failureOf(connection.execDriverSql('ROLLBACK'))).toBeInstanceOf(IllegalStateError);
    const { driverConnection } = await connection.getRawConnection();
    await (driverConnection as Client).query('ROLLBACK');
    expect(await failureOf(transaction.commit())).toBeInstanceOf(IllegalStateError);
    await transaction.rollback();
    await connection.begin(async () => {
      await connection.execDriverSql(`INSERT INTO item VALUES (2, 'b')`);
    });
    expect(await storedNames(database, 'item', 'id')).toEqual(['b']);
    await connection.close();
  });

  it('AP-09: values are parsed as the option types says, on every connection', async () => {
    const engine = engineWith({ poolSize: 2, types: { jsonb: (value: string) => `raw ${value}` } });
    const pair = await Promise.all([engine.connect(), engine.connect()]);
    for (const connection of pair) {
      expect(await connection.execDriverSql(`SELECT '{"a": 1}'::jsonb`).scalar()).toBe('raw {"a": 1}');
    }
    await Promise.all(pair.map((connection) => connection.close()));
  });

  it('AP-09: names of prepared statements can be turned off', async () => {
    const connection = await engineWith({ preparedStatementCacheSize: 0 }).connect();
    await connection.execDriverSql('SELECT $1::int', [1]);
    const sql = 'SELECT count(*)::int FROM pg_prepared_statements';
    expect(await connection.execDriverSql(sql).scalar()).toBe(0);
    await connection.close();
  });
});
