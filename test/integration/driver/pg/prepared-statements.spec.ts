import { createAsyncEngine, text, type AsyncEngine, type AsyncEngineOptions } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startFaultyProxy, type FaultyProxy } from '../../../support/server/faulty-proxy.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';

let database: TestDatabase;
let proxy: FaultyProxy;
let engine: AsyncEngine;

/** One connection at most, so that every statement finds what the one before it has left. */
function open(options: AsyncEngineOptions = {}): AsyncEngine {
  engine = createAsyncEngine(proxy.url, { poolSize: 1, maxOverflow: 0, ...options });
  return engine;
}

const run = (sql: string, values: readonly unknown[] = []) => engine.execDriverSql(sql, values);
const rowsOf = (sql: string, values: readonly unknown[] = []) => run(sql, values).all();
const sent = (type: string): number =>
  proxy.messages.filter((message) => message.from === 'client' && message.type === type).length;
const namesOnServer = () =>
  engine.scalar<string>(text('SELECT count(*) FROM pg_prepared_statements'), undefined, { prepare: false });

beforeAll(async () => {
  database = await createDatabase('named');
});

beforeEach(async () => {
  await database.query('DROP TABLE IF EXISTS item');
  await database.query("CREATE TABLE item AS SELECT 1 AS a, 'x' AS b");
  proxy = await startFaultyProxy(database.url);
  open();
});

afterEach(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.aclose();
  await proxy.close();
});

afterAll(() => database.drop());

describe('a statement that was run before', () => {
  it('sends no Parse and no Describe', async () => {
    await rowsOf('SELECT * FROM item WHERE a = $1', [1]);
    proxy.reset();
    expect(await rowsOf('SELECT * FROM item WHERE a = $1', [1])).toEqual([{ a: 1, b: 'x' }]);
    expect(proxy.messages.filter(({ from }) => from === 'client').map(({ type }) => type)).toEqual([
      'Bind',
      'Execute',
      'Sync',
    ]);
  });

  it('has a BEGIN with a name in front of it in a transaction, whose COMMIT is one message', async () => {
    const work = () => engine.transaction(() => rowsOf('SELECT b FROM item WHERE a = $1', [1]));
    await work();
    proxy.reset();
    expect(await work()).toEqual([{ b: 'x' }]);
    expect(proxy.messages.filter(({ from }) => from === 'client').map(({ type }) => type)).toEqual([
      'Bind',
      'Execute',
      'Bind',
      'Execute',
      'Sync',
      'Query',
    ]);
  });

  it('begins a transaction and ends it where a function has dropped all names, unseen', async () => {
    await run(
      `CREATE FUNCTION drop_names() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DEALLOCATE ALL'; RETURN 1; END $$`,
    );
    const insert = (b: string) => run('INSERT INTO item (a, b) VALUES (3, $1)', [b]);
    await engine.transaction(() => insert('first'));
    await rowsOf('SELECT drop_names()');
    await engine.transaction(async () => {
      await insert('second');
      await rowsOf('SELECT drop_names()');
    });
    expect(await rowsOf('SELECT b FROM item WHERE a = 3')).toEqual([{ b: 'first' }, { b: 'second' }]);
  });

  it('gives its rows with new values, and none', async () => {
    const sql = 'SELECT b FROM item WHERE a = $1';
    expect([await rowsOf(sql, [2]), await rowsOf(sql, [1]), await rowsOf(sql, [null])]).toEqual([
      [],
      [{ b: 'x' }],
      [],
    ]);
  });

  it('is parsed again without names', async () => {
    open({ preparedStatementCacheSize: 0 });
    await rowsOf('SELECT 1 AS a');
    expect(await rowsOf('SELECT 1 AS a')).toEqual([{ a: 1 }]);
    expect([sent('Parse'), await namesOnServer()]).toEqual([2, '0']);
  });

  it.each([{ pgbouncer: true }, {}])('has no name where that was asked for: %o', async (options) => {
    open(options);
    await engine.execute(text('SELECT 1'), undefined, { prepare: false });
    expect(await namesOnServer()).toBe('0');
  });

  it('is the same with another comment behind it, and another one with another literal', async () => {
    open();
    const texts = [
      'SELECT $1::int AS n /*trace=1*/',
      'SELECT $1::int AS n /*trace=2*/',
      'SELECT $1::int AS n',
    ];
    for (const [index, sql] of texts.entries()) expect(await rowsOf(sql, [index])).toEqual([{ n: index }]);
    expect([sent('Parse'), sent('Bind')]).toEqual([1, 3]);
    const literals = ["SELECT '/* a' AS s -- */", "SELECT '/* b' AS s -- */"];
    const rows = [await rowsOf(literals[0] ?? ''), await rowsOf(literals[1] ?? '')];
    expect(rows).toEqual([[{ s: '/* a' }], [{ s: '/* b' }]]);
    expect(await namesOnServer()).toBe('3');
  });

  it('may run many times at once', async () => {
    open({ poolSize: 4 });
    const rows = await Promise.all(
      Array.from({ length: 200 }, (_, index) => run('SELECT $1::int AS n', [index]).one()),
    );
    expect(rows).toEqual(Array.from({ length: 200 }, (_, n) => ({ n })));
  });

  it('may run many times at once on one connection', async () => {
    await using connection = await engine.connect();
    const rows = await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        connection.execDriverSql('SELECT $1::int AS n', [index]).one(),
      ),
    );
    expect(rows).toEqual(Array.from({ length: 200 }, (_, n) => ({ n })));
  });
});

describe('the cache of names', () => {
  it('keeps no more on the server than it may, over 500 texts', async () => {
    open({ preparedStatementCacheSize: 20 });
    const counts = new Set<number>();
    for (let index = 0; index < 500; index += 1) {
      await run(`SELECT ${index}`);
      if (index % 50 === 49) counts.add(Number(await namesOnServer()));
    }
    expect(Math.max(...counts)).toBe(20);
  });

  it('drops what was not used for the longest time', async () => {
    open({ preparedStatementCacheSize: 2 });
    for (const sql of ['SELECT 1', 'SELECT 2', 'SELECT 1', 'SELECT 3', 'SELECT 1']) await run(sql);
    expect(sent('Parse')).toBe(3);
  });

  it('of one name serves transactions', async () => {
    open({ preparedStatementCacheSize: 1 });
    for (let round = 0; round < 3; round += 1) {
      await engine.transaction(async () => {
        await run('INSERT INTO item VALUES ($1, $2)', [2, 'y']);
        await engine.transaction(() => run('SELECT 1'));
      });
    }
    expect(await rowsOf('SELECT count(*)::int AS n FROM item')).toEqual([{ n: 4 }]);
  });

  it('serves a batch of more texts than it has names', async () => {
    open({ preparedStatementCacheSize: 2 });
    await using connection = await engine.connect();
    const pooled = await connection.getRawConnection();
    const commands = Array.from({ length: 10 }, (_, n) => ({ text: `SELECT ${n} AS n` }));
    await pooled.session.executeMany([], commands);
    const results = await pooled.session.executeMany([], commands);
    expect(results.map(({ rows }) => rows[0])).toEqual(Array.from({ length: 10 }, (_, n) => ({ n })));
  });

  it('is not poisoned by a syntax error', async () => {
    await expect(run('SELEC 1')).rejects.toMatchObject({ sqlState: '42601' });
    await expect(run('SELEC 1')).rejects.toMatchObject({ sqlState: '42601' });
    expect(await namesOnServer()).toBe('0');
  });

  it('is not poisoned by a table that comes later', async () => {
    await expect(run('SELECT * FROM later')).rejects.toMatchObject({ sqlState: '42P01' });
    await database.query('CREATE TABLE later AS SELECT 1 AS n');
    expect(await rowsOf('SELECT * FROM later')).toEqual([{ n: 1 }]);
    await database.query('DROP TABLE later');
  });

  it('keeps a statement whose Bind failed after its Parse', async () => {
    const sql = 'SELECT $1::int AS n';
    await expect(run(sql, ['x'])).rejects.toMatchObject({ sqlState: '22P02' });
    expect([await rowsOf(sql, [1]), await rowsOf(sql, [2]), sent('Parse')]).toEqual([
      [{ n: 1 }],
      [{ n: 2 }],
      1,
    ]);
  });

  it('works on after a statement that failed inside a transaction before its Parse', async () => {
    await using connection = await engine.connect();
    await expect(connection.execDriverSql('SELECT 1 / 0')).rejects.toMatchObject({ sqlState: '22012' });
    await expect(connection.execDriverSql('SELECT 7 AS n')).rejects.toMatchObject({ sqlState: '25P02' });
    await connection.rollback();
    expect(await connection.execDriverSql('SELECT 7 AS n').all()).toEqual([{ n: 7 }]);
  });
});

describe('DDL that changes what a statement returns', () => {
  const all = 'SELECT * FROM item';
  const alter = (column: string) => database.query(`ALTER TABLE item ADD COLUMN ${column} int DEFAULT 5`);

  it('is healed outside a transaction without a word', async () => {
    await run(all);
    await alter('c');
    expect(await rowsOf(all)).toEqual([{ a: 1, b: 'x', c: 5 }]);
  });

  it('is healed every time', async () => {
    for (const column of ['c', 'd', 'e']) {
      await run(all);
      await alter(column);
    }
    expect(Object.keys((await run(all).one()) as object)).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('is healed in the first statement of a transaction, which has done nothing yet', async () => {
    await run(all);
    await alter('c');
    expect(await engine.transaction(() => rowsOf(all))).toEqual([{ a: 1, b: 'x', c: 5 }]);
  });

  it('is healed in the first statement of a nested transaction that opens the outer one', async () => {
    await run(all);
    await alter('c');
    const rows = await engine.transaction(() =>
      engine.transaction(async () => {
        const read = await rowsOf(all);
        await run('INSERT INTO item VALUES (2)');
        return read;
      }),
    );
    expect([rows, await rowsOf('SELECT a FROM item ORDER BY a')]).toEqual([
      [{ a: 1, b: 'x', c: 5 }],
      [{ a: 1 }, { a: 2 }],
    ]);
  });

  it('is reported once behind another statement of its transaction and healed for the next one', async () => {
    await run(all);
    await alter('c');
    const work = () =>
      engine.transaction(async () => {
        await run('SELECT 1');
        return await rowsOf(all);
      });
    await expect(work()).rejects.toMatchObject({ sqlState: '0A000', statement: all });
    expect(await work()).toEqual([{ a: 1, b: 'x', c: 5 }]);
  });

  it.each([
    ['a transaction', (work: () => Promise<unknown>) => engine.transaction(work, { retry: 1 })],
    [
      'a nested one, whose root is run again',
      (work: () => Promise<unknown>) => engine.transaction(() => engine.transaction(work), { retry: 1 }),
    ],
  ])('behind another statement, %s with `retry` is run again as a whole', async (_name, transact) => {
    await run(all);
    await alter('c');
    let runs = 0;
    const hooks: string[] = [];
    const rows = await transact(async () => {
      runs += 1;
      engine.afterCommit(() => void hooks.push(`stored ${runs}`));
      engine.afterRollback(() => void hooks.push('undone'));
      await run(`INSERT INTO item VALUES (${10 + runs})`);
      return await rowsOf(all);
    });
    expect(runs).toBe(2);
    expect(hooks).toEqual(['undone', 'stored 2']);
    expect(rows).toEqual([{ a: 1, b: 'x', c: 5 }, expect.objectContaining({ a: 12, c: 5 })]);
    expect(await rowsOf('SELECT a FROM item ORDER BY a')).toEqual([{ a: 1 }, { a: 12 }]);
  });

  it('is healed in the first fetch of a stream', async () => {
    const stream = () => engine.stream(text(all)).all();
    await stream();
    await alter('c');
    expect(await stream()).toEqual([{ a: 1, b: 'x', c: 5 }]);
  });

  it('is healed where the statement ran with settings of its own', async () => {
    const scoped = engine.executionOptions({ settings: { 'app.tenant': 't' } });
    const sql = "SELECT *, current_setting('app.tenant') AS tenant FROM item";
    await scoped.execDriverSql(sql);
    await alter('c');
    expect(await scoped.execDriverSql(sql).all()).toEqual([{ a: 1, b: 'x', c: 5, tenant: 't' }]);
  });
});

describe.each(['DISCARD ALL', 'DEALLOCATE ALL'])('after %s', (command) => {
  it('statements work outside a transaction', async () => {
    await run('SELECT 1 AS n');
    await run(command);
    expect(await rowsOf('SELECT 1 AS n')).toEqual([{ n: 1 }]);
  });

  it('whole transactions work', async () => {
    const work = () => engine.transaction(() => rowsOf('SELECT 1 AS n'));
    await work();
    await run(command);
    expect(await work()).toEqual([{ n: 1 }]);
  });

  it('behind our back, whole transactions work', async () => {
    const work = () => engine.transaction(() => rowsOf('SELECT 1 AS n'));
    await work();
    const pooled = await engine.rawConnection();
    await (pooled.driverConnection as { query(sql: string): Promise<unknown> }).query(command);
    await pooled.close();
    expect(await work()).toEqual([{ n: 1 }]);
  });
});

it('commits a transaction in which DEALLOCATE ALL was run', async () => {
  await engine.transaction(() => run('SELECT 1 AS n'));
  await engine.transaction(async () => {
    await run('INSERT INTO item VALUES ($1, $2)', [2, 'y']);
    await run('DEALLOCATE ALL');
    await run('INSERT INTO item VALUES ($1, $2)', [3, 'z']);
  });
  expect(await rowsOf('SELECT count(*)::int AS n FROM item')).toEqual([{ n: 3 }]);
});

describe('commands that return what the moment has', () => {
  it('EXECUTE of a name that was prepared anew', async () => {
    await using connection = await engine.connect();
    const execute = (sql: string) => connection.execDriverSql(sql);
    await execute('PREPARE p AS SELECT 1 AS a');
    const before = await execute('EXECUTE p').all();
    await execute('DEALLOCATE p');
    await execute("PREPARE p AS SELECT 'x' AS b, 2 AS c");
    expect([before, await execute('EXECUTE p').all()]).toEqual([[{ a: 1 }], [{ b: 'x', c: 2 }]]);
  });

  it('FETCH from a cursor that was declared anew', async () => {
    await using connection = await engine.connect();
    const execute = (sql: string) => connection.execDriverSql(sql);
    await execute('DECLARE c CURSOR FOR SELECT 1 AS a');
    const before = await execute('FETCH ALL FROM c').all();
    await execute('CLOSE c');
    await execute("DECLARE c CURSOR FOR SELECT 'x' AS b, 2 AS c");
    expect([before, await execute('FETCH ALL FROM c').all()]).toEqual([[{ a: 1 }], [{ b: 'x', c: 2 }]]);
  });

  it('SHOW and EXPLAIN', async () => {
    const names = [(await run('SHOW server_version')).keys(), (await run('EXPLAIN SELECT 1')).keys()];
    expect(names).toEqual([['server_version'], ['QUERY PLAN']]);
  });
});

describe('columns', () => {
  it.each([
    'a b',
    "it's",
    '"',
    '\\',
    '`${x}`',
    '',
    'ключ',
    '1',
    'constructor',
    'toString',
    '__proto__',
    '\u2028',
  ])('named %o', async (name) => {
    const identifier = `"${name.replaceAll('"', '""')}"`;
    const sql = name === '' ? 'SELECT 1 AS "?column?"' : `SELECT 1 AS ${identifier}, 2 AS other`;
    const key = name === '' ? '?column?' : name;
    for (const row of [await run(sql).one(), await run(sql).one()]) {
      expect(Object.getOwnPropertyDescriptor(row, key)?.value).toBe(1);
      expect(Object.getPrototypeOf(row)).toBe(Object.prototype);
    }
  });

  it('of the same name: the last one wins in an object, positions stay exact', async () => {
    const sql = 'SELECT 1 AS a, 2 AS b, 3 AS a';
    expect(await rowsOf(sql)).toEqual([{ a: 3, b: 2 }]);
    expect((await run(sql).tuples()).all()).toEqual([[1, 2, 3]]);
  });

  it('none at all', async () => {
    const result = await run('SELECT FROM generate_series(1, 3)');
    expect([result.returnsRows, result.all()]).toEqual([true, [{}, {}, {}]]);
  });

  it('1,600 of them', async () => {
    const columns = Array.from({ length: 1_600 }, (_, n) => `${n} AS c${n}`);
    const row = (await run(`SELECT ${columns.join(', ')}`).one()) as Record<string, number>;
    expect([Object.keys(row).length, row['c0'], row['c1599']]).toEqual([1_600, 0, 1_599]);
  });
});

describe('parameters', () => {
  const placeholders = (count: number) => Array.from({ length: count }, (_, n) => `$${n + 1}`).join(', ');

  it('may be 65,535', async () => {
    const values = Array.from({ length: 65_535 }, (_, n) => n);
    const sql = `SELECT cardinality(ARRAY[${placeholders(65_535)}]::int[]) AS n`;
    expect(await rowsOf(sql, values)).toEqual([{ n: 65_535 }]);
  });

  it('may not be one more; nothing is sent', async () => {
    const values = Array.from({ length: 65_536 }, () => 1);
    proxy.reset();
    await expect(run(`SELECT ARRAY[${placeholders(65_536)}]`, values)).rejects.toThrow(/65,?535/);
    expect(proxy.messages).toEqual([]);
  });

  it.each([
    ['too few', 'SELECT $1::int, $2::int', [1], '08P01'],
    ['too many', 'SELECT $1::int', [1, 2], '08P01'],
  ])('%s are refused by the server and the connection stays usable', async (_, sql, values, sqlState) => {
    await expect(run(sql, values)).rejects.toMatchObject({ sqlState });
    expect(await rowsOf('SELECT 1 AS a')).toEqual([{ a: 1 }]);
    expect(proxy.connections).toBe(1);
  });
});
