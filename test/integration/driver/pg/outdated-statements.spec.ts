import {
  bindparam,
  createAsyncEngine,
  text,
  type AsyncEngine,
  type AsyncEngineOptions,
} from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startFaultyProxy, type FaultyProxy } from '../../../support/server/faulty-proxy.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';
import { TestEngines } from '../../../support/test-engines.js';

let database: TestDatabase;
let proxy: FaultyProxy;
const engines = new TestEngines();

/** One session, unless it is said otherwise, so that every statement finds what the one before it has left. */
function open(options: AsyncEngineOptions = {}): AsyncEngine {
  return engines.add(createAsyncEngine(proxy.url, { poolSize: 1, maxOverflow: 0, ...options }));
}

const inSchema = <T>(engine: AsyncEngine, schema: string, work: () => Promise<T>): Promise<T> =>
  engine.transaction(work, { settings: { search_path: schema } });
const parsesSent = (): number =>
  proxy.messages.filter(({ from, type }) => from === 'client' && type === 'Parse').length;
const namesOf = async (engine: AsyncEngine): Promise<string[]> => {
  const sql = 'SELECT name FROM pg_prepared_statements WHERE statement NOT LIKE $1 ORDER BY prepare_time';
  const rows = await engine.execute<{ name: string }>({ text: sql, values: ['%pg_prepared%'] }).all();
  return rows.map(({ name }) => name);
};

beforeAll(async () => {
  database = await createDatabase('outdated');
  proxy = await startFaultyProxy(database.url);
  for (const schema of ['a', 'b']) {
    await database.query(
      `CREATE SCHEMA ${schema}; CREATE TYPE ${schema}.mood AS ENUM ('glad'); CREATE TABLE ${schema}.person (m ${schema}.mood)`,
    );
  }
  await database.query('ALTER TABLE b.person ADD COLUMN age int DEFAULT 7');
});

afterEach(async () => {
  await engines.end();
  proxy.reset();
});

afterAll(async () => {
  await proxy.close();
  await database.drop();
});

describe('a schema for each tenant', () => {
  const put = text('INSERT INTO person (m) VALUES (:m)');
  const read = text('SELECT * FROM person');

  it('writes to the types and reads the rows of its own, in any order on one session', async () => {
    const engine = open();
    const columns: string[] = [];
    for (const schema of ['a', 'b', 'b', 'a', 'b', 'a']) {
      await inSchema(engine, schema, async () => {
        await engine.execute(put, { m: 'glad' });
        const [row] = await engine.execute(read).all();
        columns.push(Object.keys(row ?? {}).join());
      });
    }
    expect(columns).toEqual(['m', 'm,age', 'm,age', 'm', 'm,age', 'm']);
  });

  it('is as fast as one schema: each tenant has names of its own, which stay', async () => {
    const engine = open();
    const round = async () => {
      for (const schema of ['a', 'b']) await inSchema(engine, schema, () => engine.execute(read).all());
    };
    await round();
    const before = await namesOf(engine);
    proxy.reset();
    await round();
    expect([parsesSent(), await namesOf(engine)]).toEqual([0, before]);
  });

  it('holds for the autocommitted statements of an engine with settings', async () => {
    const engine = open();
    const [a, b] = ['a', 'b'].map((schema) => engine.executionOptions({ settings: { search_path: schema } }));
    const counts: number[] = [];
    for (const tenant of [a, b, a, b]) counts.push((await tenant?.execute(read))?.keys().length ?? 0);
    expect(counts).toEqual([1, 2, 1, 2]);
  });

  it('holds where a nested transaction has another one, however it ends', async () => {
    const engine = open();
    const keys = async () => (await engine.execute(read)).keys().length;
    const nested = (isUndone: boolean) =>
      inSchema(engine, 'b', async () => {
        const count = await keys();
        if (isUndone) throw new Error(String(count));
        return count;
      }).catch((error: Error) => Number(error.message));
    for (const isUndone of [true, false, true]) {
      const counts = await inSchema(engine, 'a', async () => [
        await keys(),
        await nested(isUndone),
        await keys(),
      ]);
      expect(counts).toEqual([1, 2, 1]);
    }
  });

  it.each([
    ["SET search_path = 'b'", 2],
    ["SET LOCAL search_path = 'b'", 2],
    ["SELECT set_config('search_path', 'b', FALSE)", 2],
    ["DO $$ BEGIN PERFORM set_config('search_path', 'b', FALSE); END $$", 2],
  ])('holds where a statement changes it: %s', async (sql, count) => {
    const engine = open({ settings: { search_path: 'a' } });
    const keys = async () => (await engine.execute(read)).keys().length;
    await keys();
    const inside = await engine.transaction(async () => {
      const before = await keys();
      await engine.execute(text(sql));
      return [before, await keys()];
    });
    expect(inside).toEqual([1, count]);
  });
});

describe('a role for each tenant, whose name is the schema "$user" of the search_path', () => {
  const put = text('INSERT INTO pet (m) VALUES (:m)');
  const read = text('SELECT * FROM pet');
  // Behind a first statement, so that nothing can be sent twice.
  const keys = async (on: Pick<AsyncEngine, 'execute'>) => {
    await on.execute(text('SELECT 1'));
    await on.execute(put, { m: 'glad' });
    await on.execute(put, [{ m: 'glad' }, { m: 'glad' }]);
    return (await on.execute(read)).keys().length;
  };
  const ROLES = ['outdated_a', 'outdated_b'];

  beforeAll(async () => {
    for (const role of ROLES) {
      await database.query(
        `CREATE ROLE ${role}; CREATE SCHEMA ${role} AUTHORIZATION ${role}; SET ROLE ${role}; CREATE TYPE ${role}.mood AS ENUM ('glad');
         CREATE TABLE ${role}.pet (m ${role}.mood); RESET ROLE`,
      );
    }
    await database.query('ALTER TABLE outdated_b.pet ADD COLUMN age int DEFAULT 7');
  });

  afterAll(async () => {
    for (const role of ROLES) await database.query(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`);
  });

  it.each<[string, (engine: AsyncEngine, role: string) => Promise<number>]>([
    ['settings', (engine, role) => engine.transaction(() => keys(engine), { settings: { role } })],
    [
      'settings of a nested transaction',
      (engine, role) =>
        engine.transaction(() => engine.transaction(() => keys(engine), { settings: { role } })),
    ],
    ['settings of an engine', (engine, role) => keys(engine.executionOptions({ settings: { role } }))],
    ...[
      'SET LOCAL ROLE ?',
      'SET ROLE ?',
      'SET SESSION AUTHORIZATION ?',
      'SET LOCAL SESSION AUTHORIZATION ?',
    ].map((sql): [string, (engine: AsyncEngine, role: string) => Promise<number>] => [
      sql,
      (engine, role) =>
        engine.transaction(async () => {
          await engine.execute(text(sql.replace('?', role)));
          return await keys(engine);
        }),
    ]),
    [
      'set_config()',
      (engine, role) =>
        engine.transaction(async () => {
          await engine.execute(text("SELECT set_config('role', :role, TRUE)"), { role });
          return await keys(engine);
        }),
    ],
    [
      'a script of the lent client',
      (engine, role) =>
        engine.begin(async (connection) => {
          await connection.run((client) => client.query(`SELECT 1; SET LOCAL ROLE ${role}`));
          return await keys(connection);
        }),
    ],
  ])('writes to the types and reads the rows of its own: %s', async (_, keysAs) => {
    const engine = open();
    const counts: number[] = [];
    for (const role of ['outdated_a', 'outdated_b', 'outdated_b', 'outdated_a', 'outdated_b'])
      counts.push(await keysAs(engine, role));
    expect(counts).toEqual([1, 2, 2, 1, 2]);
  });

  it('is as fast as one role: each has names of its own, which stay', async () => {
    const engine = open();
    const round = async () => {
      for (const role of ROLES)
        await engine.transaction(() => engine.execute(read).all(), { settings: { role } });
    };
    await round();
    proxy.reset();
    await round();
    expect(parsesSent()).toBe(0);
  });
});

it.each([
  ['transform_null_equals', ['off', 'on'], 'SELECT (1 = NULL) IS NULL AS it', [true, false]],
  ['array_nulls', ['on', 'off'], "SELECT (ARRAY_REMOVE('{NULL}'::text[], NULL))[1] AS it", [null, 'NULL']],
])('a statement is parsed under the %s of its transaction', async (name, values, sql, wanted) => {
  const engine = open();
  for (const round of [0, 1, 0, 1]) {
    const seen = engine.transaction(() => engine.scalar(text(sql)), {
      settings: { [name]: String(values[round]) },
    });
    expect(await seen).toBe(wanted[round]);
  }
});

describe('what DDL replaces', () => {
  it.each([
    ['ALTER TABLE thing ADD COLUMN w int', 'SELECT * FROM thing'],
    ['ALTER TABLE thing ALTER n TYPE text', 'INSERT INTO thing (n) VALUES (:n) RETURNING n'],
    ['CREATE TEMP TABLE thing (n int, w int)', 'SELECT * FROM thing'],
    ['CREATE TEMP TABLE thing ON COMMIT DROP AS SELECT 1 AS n, 2 AS w', 'SELECT * FROM thing'],
    ['CREATE TEMP VIEW thing AS SELECT 1 AS n, 2 AS w', 'SELECT * FROM thing'],
    ["DROP TYPE hue; CREATE TYPE hue AS ENUM ('red')", "SELECT 'red'::hue, :n::int"],
  ])('and a nested transaction undoes, is as it was: %s', async (ddl, sql) => {
    const engine = open();
    await database.query(
      "DROP TABLE IF EXISTS thing; CREATE TABLE thing (n int); DROP TYPE IF EXISTS hue; CREATE TYPE hue AS ENUM ('red')",
    );
    const run = () => engine.execute(text(sql), sql.includes(':n') ? { n: 1 } : {});
    const nested = async (): Promise<never> => {
      for (const one of ddl.split('; ')) await engine.execute(text(one));
      await run();
      throw new Error('undo');
    };
    await engine.transaction(async () => {
      const before = (await run()).keys();
      await expect(engine.transaction(nested)).rejects.toThrow('undo');
      expect((await run()).keys()).toEqual(before);
    });
  });

  it('and the end of a transaction undoes, is as it was, on a connection that is kept', async () => {
    const engine = open();
    await database.query('DROP TABLE IF EXISTS thing; CREATE TABLE thing (n int)');
    const read = text('SELECT * FROM thing');
    await engine.connect(async (connection) => {
      await connection.begin(async () => {
        await connection.execute(text('CREATE TEMP TABLE thing (n int, w int) ON COMMIT DROP'));
        await connection.execute(read);
      });
      await connection.begin(async () => {
        await connection.execute(text('SELECT 1'));
        expect((await connection.execute(read)).keys()).toEqual(['n']);
      });
    });
  });

  it('an enum that was dropped and made again in the same process is written to', async () => {
    const engine = open();
    const up = async () => {
      await engine.execute(text("CREATE TYPE color AS ENUM ('red')"));
      await engine.execute(text('CREATE TABLE paint (c color)'));
    };
    const put = () => engine.execute(text('INSERT INTO paint VALUES (:c)'), { c: 'red' });
    const putMany = () =>
      engine.execute(text('INSERT INTO paint (c) VALUES (:c)'), [{ c: 'red' }, { c: 'red' }]);
    for (const _ of [1, 2]) {
      await up();
      await put();
      await putMany();
      expect(await engine.scalar(text('SELECT count(*)::int FROM paint'))).toBe(3);
      await engine.execute(text('DROP TABLE paint'));
      await engine.execute(text('DROP TYPE color'));
    }
  });

  it('a type that another process has changed is met by one more try', async () => {
    const engine = open();
    await database.query('DROP TABLE IF EXISTS counter; CREATE TABLE counter (n int4)');
    const put = (n: number) => engine.execute(text('INSERT INTO counter (n) VALUES (:n)'), { n });
    const putMany = (n: number) =>
      engine.execute(text('INSERT INTO counter (n) VALUES (:n)'), [{ n }, { n: n + 1 }]);
    await put(1);
    await putMany(1);
    await database.query('ALTER TABLE counter ALTER n TYPE int8');
    await put(3_000_000_000);
    await putMany(3_000_000_000);
    expect(await engine.scalar(text('SELECT count(*)::int FROM counter'))).toBe(6);
  });

  it.each<[string, string, unknown, unknown, unknown]>([
    ['"char"', 'text', 'a', 'hello', 'hello'],
    ['name', 'text', 'a', 'n'.repeat(80), 'n'.repeat(80)],
    ['char(5)', 'text', 'a', 'ab  ', 'ab  '],
    ['date', 'timestamp', '2020-01-01', '2020-01-02 10:11', '2020-01-02 10:11:00'],
    ['date', 'timestamp', '2020-01-01', new Date(2020, 0, 2, 10, 11), '2020-01-02 10:11:00'],
    ['time', 'timetz', '10:00', '10:11:12+05', '10:11:12+05'],
    ['real', 'float8', 1.5, 1.123456789, '1.123456789'],
    ['real[]', 'float8[]', [1.5], [[1.1], [2.5]], '{{1.1},{2.5}}'],
    ['float8', 'numeric', '1.5', '12345678901234567.891', '12345678901234567.891'],
    ['money', 'numeric', '1.5', '1.555', '1.555'],
    ['bytea', 'text', Buffer.from('a'), 'hello', 'hello'],
    ['timestamp', 'timestamptz', '2020-01-01 00:00', '2020-01-01 00:00:00+05', '2019-12-31 19:00:00+00'],
  ])(
    'keeps a value whole where another process has made %s %s',
    async (before, after, first, value, stored) => {
      const engine = open({ settings: { timezone: 'UTC' } });
      await database.query(`DROP TABLE IF EXISTS wider; CREATE TABLE wider (v ${before})`);
      const insert = text('INSERT INTO wider (v) VALUES (:v)');
      const update = text('UPDATE wider SET v = :v');
      const returning = text('INSERT INTO wider (v) VALUES (:v) RETURNING 1');
      const seen = async () => {
        const all = await engine.execute<{ v: string | null }>(text('SELECT v::text AS v FROM wider')).all();
        await engine.execute(text('DELETE FROM wider'));
        return all;
      };
      const ways: (readonly [string, (v: unknown) => Promise<unknown>])[] = [
        ['execute()', async (v) => await engine.execute(insert, { v })],
        ['in a transaction', (v) => engine.transaction(() => engine.execute(returning, { v }).all())],
        ['a list for an INSERT', async (v) => await engine.execute(insert, [{ v: first }, { v }])],
        ['a list for an UPDATE', async (v) => await engine.execute(update, [{ v: first }, { v }])],
        ['stream()', (v) => engine.transaction(() => engine.stream(returning, { v }).all())],
      ];
      for (const [, put] of ways) await put(first);
      await seen();
      await database.query(`ALTER TABLE wider ALTER v TYPE ${after} USING v::text::${after}`);
      for (const [way, put] of ways) {
        await database.query(`INSERT INTO wider VALUES (NULL)`);
        await put(value);
        expect([way, (await seen()).map(({ v }) => v)]).toEqual([way, expect.arrayContaining([stored])]);
      }
    },
  );

  it.each<[string, string, unknown, unknown, unknown]>([
    ['int4', 'bytea', 1, Buffer.from([1]), String.raw`\x01`],
    ['text', 'int4', 'a', 1, '1'],
    ['jsonb', 'text', { a: 1 }, 'hello', 'hello'],
    ['int4[]', 'jsonb', [1], [], '[]'],
    ['jsonb', 'int4[]', [1], [1], '{1}'],
    ['text[]', 'jsonb[]', ['a'], [[1]], '{[1]}'],
    ['"char"[]', 'text[]', ['a'], ['hello'], '{hello}'],
  ])(
    'takes the values of the type that %s has become by another process: %s',
    async (before, after, first, value, stored) => {
      const insert = text('INSERT INTO other (v) VALUES (:v)');
      const update = text('UPDATE other SET v = :v');
      const ways: ((engine: AsyncEngine, v: unknown) => Promise<unknown>)[] = [
        async (engine, v) => await engine.execute(insert, { v }),
        async (engine, v) => await engine.execute(insert, [{ v: null }, { v }]),
        async (engine, v) => await engine.execute(update, [{ v: null }, { v }]),
      ];
      for (const options of [{}, { preparedStatementCacheSize: 0 }, { pgbouncer: true }]) {
        const engine = open(options);
        for (const put of ways) {
          await database.query(`DROP TABLE IF EXISTS other; CREATE TABLE other (v ${before})`);
          await put(engine, first);
          await database.query(
            `DROP TABLE other; CREATE TABLE other (v ${after}); INSERT INTO other VALUES (NULL)`,
          );
          await put(engine, value);
          const rows = await database.query<{ v: string }>(
            'SELECT v::text AS v FROM other WHERE v IS NOT NULL',
          );
          expect([options, rows.map(({ v }) => v)]).toEqual([options, [stored]]);
        }
      }
    },
  );

  it('is not parsed anew for values that its types take whole', async () => {
    const engine = open();
    await database.query('DROP TABLE IF EXISTS narrow; CREATE TABLE narrow (c "char", d date)');
    const put = () => engine.execute(text('INSERT INTO narrow VALUES (:c, :d)'), { c: 'a', d: '2020-01-01' });
    await put();
    const names = await namesOf(engine);
    await put();
    expect(await namesOf(engine)).toEqual(names);
  });

  it('is parsed anew by all sessions of the engine, also where it would not fail', async () => {
    const engine = open({ poolSize: 2 });
    await database.query('DROP TABLE IF EXISTS later; CREATE SCHEMA IF NOT EXISTS later_schema');
    const [first, second] = [await engine.connect(), await engine.connect()];
    const read = (connection: typeof first) =>
      connection.execute(text("SELECT 'x'::regtype::oid::int AS oid")).one();
    await first.execute(text("CREATE TYPE x AS ENUM ('old')"));
    await first.commit();
    const before = await read(second);
    await second.rollback();
    await first.execute(text('DROP TYPE x'));
    await first.execute(text("CREATE TYPE x AS ENUM ('new')"));
    await first.commit();
    expect(await read(second)).not.toEqual(before);
    await first.close();
    await second.close();
  });

  it('is not run again where a statement of its transaction was answered', async () => {
    const engine = open();
    await database.query('DROP TABLE IF EXISTS counter; CREATE TABLE counter (n int4)');
    const put = (n: number) => engine.execute(text('INSERT INTO counter VALUES (:n)'), { n });
    await put(1);
    const work = engine.transaction(async () => {
      await put(2);
      await put(3_000_000_000);
    });
    await expect(work).rejects.toMatchObject({ sqlState: '22003' });
    expect(await engine.scalar(text('SELECT count(*)::int FROM counter'))).toBe(1);
  });

  it('a procedure that has committed a part of its work is never run twice', async () => {
    const engine = open();
    await database.query(`DROP TABLE IF EXISTS done; CREATE TABLE done (n int);
      CREATE OR REPLACE PROCEDURE step() LANGUAGE plpgsql AS $$
      BEGIN INSERT INTO done VALUES (1); COMMIT; PERFORM 1 / 0; END $$`);
    for (const _ of [1, 2])
      await expect(engine.execute(text('CALL step()'))).rejects.toMatchObject({ sqlState: '22012' });
    expect(await engine.scalar(text('SELECT count(*)::int FROM done'))).toBe(2);
  });
});

describe('a statement has no name', () => {
  it.each([
    "SELECT extract(epoch FROM clock_timestamp() - 'now'::timestamptz)::float8",
    "SELECT date 'today'",
    "SELECT ' Tomorrow 10:00'::timestamptz",
    "SELECT '{yesterday}'::date[]",
    "SELECT 'now()'::timestamptz",
    "SELECT 'it''s', timestamptz 'NOW()'",
    'SELECT $a$now()$a$::timestamptz',
    `SELECT '["now()",infinity)'::tstzrange`,
  ])('where it has a literal that is evaluated while it is parsed: %s', async (sql) => {
    const engine = open();
    await engine.execute(text(sql));
    expect(await namesOf(engine)).toEqual([]);
  });

  it('for a moment that is a function or a value', async () => {
    const engine = open();
    await engine.execute(text("SELECT 'a' WHERE now() > :then AND 'b' = 'b'"), { then: 'yesterday' });
    expect(await namesOf(engine)).toHaveLength(1);
  });

  it('where it has an expanding list, more than 100 values, or 8 kB', async () => {
    const engine = open();
    const list = text('SELECT 1 WHERE 1 IN :ids').bindparams(bindparam('ids', { expanding: true }));
    for (const ids of [[1], [1, 2], [1, 2, 3]]) await engine.execute(list, { ids });
    await engine.execDriverSql(
      `SELECT ARRAY[${Array.from({ length: 101 }, (_, n) => `$${n + 1}`).join()}]::int[]`,
      Array.from({ length: 101 }, (_, n) => n),
    );
    await engine.execute(text(`/* ${'x'.repeat(8_200)} */ SELECT 1`));
    expect(await namesOf(engine)).toEqual([]);
  });

  it('where it is sent inside a transaction or ends it', async () => {
    const engine = open();
    await engine.transaction(() => engine.transaction(() => engine.execute(text('SELECT 1'))));
    const rows = await engine
      .execute<{ statement: string }>(
        text('SELECT statement FROM pg_prepared_statements ORDER BY prepare_time'),
      )
      .all();
    expect(rows.map(({ statement }) => statement)).toEqual(['BEGIN', 'SELECT 1', expect.any(String)]);
  });
});

it('gives names to two sessions that never meet', async () => {
  const names = [];
  for (const engine of [open(), open()]) {
    await engine.execute(text('SELECT 1'));
    names.push(...(await namesOf(engine)));
  }
  expect(new Set(names).size).toBe(2);
  for (const name of names) expect(name).toMatch(/^nae_[0-9a-f]{16}_\d+$/);
});

it('parses a statement anew when it is older than preparedStatementMaxAge', async () => {
  const engine = open({ preparedStatementMaxAge: 1 });
  await engine.execute(text('SELECT 1'));
  const start = performance.now();
  while (performance.now() - start < 3);
  proxy.reset();
  await engine.execute(text('SELECT 1'));
  expect(parsesSent()).toBe(1);
});

describe('a name that is gone', () => {
  /** As behind a pooler that gives the client another server session: nothing says so. */
  const lose = (engine: AsyncEngine) =>
    engine.execute(text('SELECT drop_names()'), undefined, { prepare: false });

  it('turns names off for the engine, with one warning, and no statement fails', async () => {
    await database.query(`CREATE OR REPLACE FUNCTION drop_names() RETURNS void LANGUAGE plpgsql AS
      $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$`);
    const warnings: string[] = [];
    const logger = {
      log: () => undefined,
      warn: (line: string) => warnings.push(line),
      error: () => undefined,
    };
    const engine = open({ logger, poolSize: 2 });
    await engine.execute(text('SELECT 1 AS n'));
    await lose(engine);
    expect(await engine.execute(text('SELECT 1 AS n')).all()).toEqual([{ n: 1 }]);
    expect(await engine.transaction(() => engine.scalar(text('SELECT 1 AS n')))).toBe(1);
    expect([warnings.length, await namesOf(engine)]).toEqual([1, []]);
    expect(warnings[0]).toContain('pgbouncer: true');
  });

  it('of the application, for EXECUTE, is its own error', async () => {
    const engine = open();
    await expect(engine.execute(text('EXECUTE mine'))).rejects.toMatchObject({ sqlState: '26000' });
    await engine.execute(text('SELECT 1'));
    // That of EXECUTE, and the next one.
    expect(await namesOf(engine)).toHaveLength(2);
  });

  it('is of no consequence for COMMIT', async () => {
    const engine = open();
    await database.query('DROP TABLE IF EXISTS kept; CREATE TABLE kept (n int)');
    const work = () =>
      engine.transaction(async () => {
        await engine.execute(text('INSERT INTO kept VALUES (1)'));
        await engine.execute(text("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"));
      });
    await work();
    await work();
    expect(await engine.scalar(text('SELECT count(*)::int FROM kept'))).toBe(2);
  });
});
