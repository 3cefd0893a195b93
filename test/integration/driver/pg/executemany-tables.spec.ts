import { createAsyncEngine, DBAPIError, text, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';

let database: TestDatabase;
let engine: AsyncEngine;

beforeAll(async () => {
  database = await createDatabase('many_tables');
  await database.query('CREATE ROLE many_writer');
  await database.query('GRANT ALL ON SCHEMA public TO many_writer');
  engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0 });
});
afterEach(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await database.query('DROP TABLE IF EXISTS t, journal CASCADE');
});
afterAll(async () => {
  await engine.aclose();
  await database.query('DROP OWNED BY many_writer');
  await database.query('DROP ROLE many_writer');
  await database.drop();
});

interface Table {
  readonly name: string;
  readonly ddl: string;
  readonly insert?: string;
  readonly sets?: readonly Readonly<Record<string, unknown>>[];
  readonly role?: string;
}

const INSERT = 'INSERT INTO t (id, v) VALUES (:id, :v)';
const SETS = [1, 2, 3, 4, 5].map((id) => ({ id, v: `v${id}` }));
const trigger = (timing: string, body: string) => `
  CREATE OR REPLACE FUNCTION on_t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} END $$;
  CREATE TRIGGER on_t ${timing} EXECUTE FUNCTION on_t();`;

const stored: readonly Table[] = [
  {
    name: 'defaults, of a sequence too',
    ddl: "CREATE TABLE t (id int, v text, n serial, d text DEFAULT 'x' || 1)",
  },
  {
    name: 'a generated column',
    ddl: 'CREATE TABLE t (id int, v text, g text GENERATED ALWAYS AS (v || id) STORED)',
  },
  {
    name: 'an identity column that is left out',
    ddl: 'CREATE TABLE t (id int, v text, n int GENERATED ALWAYS AS IDENTITY)',
  },
  {
    name: 'a trigger before each row that changes it',
    ddl: `CREATE TABLE t (id int, v text); ${trigger('BEFORE INSERT ON t FOR EACH ROW', "NEW.v := NEW.v || '!'; RETURN NEW;")}`,
  },
  {
    name: 'a trigger before each row that reads the rows before it',
    ddl: `CREATE TABLE t (id int, v text); ${trigger('BEFORE INSERT ON t FOR EACH ROW', 'NEW.v := (SELECT count(*) FROM t)::text; RETURN NEW;')}`,
  },
  {
    name: 'a trigger before each row that leaves one out',
    ddl: `CREATE TABLE t (id int, v text); ${trigger('BEFORE INSERT ON t FOR EACH ROW', 'IF NEW.id = 3 THEN RETURN NULL; END IF; RETURN NEW;')}`,
  },
  {
    name: 'a trigger after each row that writes elsewhere',
    ddl: `CREATE TABLE t (id int, v text); CREATE TABLE journal (n serial, id int); ${trigger('AFTER INSERT ON t FOR EACH ROW', 'INSERT INTO journal (id) VALUES (NEW.id); RETURN NULL;')}`,
  },
  {
    name: 'ON CONFLICT DO NOTHING, with a row that is there and one that comes twice',
    ddl: "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (2, 'old')",
    insert: `${INSERT} ON CONFLICT (id) DO NOTHING`,
    sets: [...SETS, { id: 5, v: 'again' }],
  },
  {
    name: 'ON CONFLICT DO UPDATE, with a row that comes twice',
    ddl: "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (2, 'old')",
    insert: `${INSERT} ON CONFLICT (id) DO UPDATE SET v = t.v || EXCLUDED.v`,
    sets: [...SETS, { id: 5, v: 'again' }],
  },
  {
    name: 'a policy of row-level security that lets them in',
    ddl: 'CREATE TABLE t (id int, v text); ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (true) WITH CHECK (id < 10); GRANT ALL ON t TO many_writer',
    role: 'many_writer',
  },
  {
    name: 'partitions',
    ddl: 'CREATE TABLE t (id int, v text) PARTITION BY RANGE (id); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (3); CREATE TABLE t2 PARTITION OF t DEFAULT',
  },
  {
    name: 'a domain, and a type with a length',
    ddl: 'CREATE DOMAIN small AS int CHECK (VALUE < 10); CREATE TABLE t (id small, v varchar(3))',
  },
  {
    name: 'a key that refers to the table itself',
    ddl: 'CREATE TABLE t (id int PRIMARY KEY, v text, up int REFERENCES t)',
    insert: 'INSERT INTO t (id, v, up) VALUES (:id, :v, :up)',
    sets: SETS.map((set) => ({ ...set, up: set.id > 1 ? set.id - 1 : null })),
  },
  {
    name: 'missing values, in any of the sets',
    ddl: "CREATE TABLE t (id int, v text DEFAULT 'no')",
    sets: SETS.map(({ id, v }) => ({ id, v: id % 2 === 0 ? null : v })),
  },
];

const refused: readonly (Table & { readonly sqlState: string })[] = [
  {
    name: 'a policy',
    sqlState: '42501',
    ddl: 'CREATE TABLE t (id int, v text); ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (true) WITH CHECK (id < 4); GRANT ALL ON t TO many_writer',
    role: 'many_writer',
  },
  { name: 'a check', sqlState: '23514', ddl: 'CREATE TABLE t (id int CHECK (id < 4), v text)' },
  {
    name: 'a domain',
    sqlState: '23514',
    ddl: 'CREATE DOMAIN tiny AS int CHECK (VALUE < 4); CREATE TABLE t (id tiny, v text)',
  },
  {
    name: 'a generated column',
    sqlState: '428C9',
    ddl: 'CREATE TABLE t (id int, v text GENERATED ALWAYS AS (id::text) STORED)',
  },
  {
    name: 'an identity that is always generated',
    sqlState: '428C9',
    ddl: 'CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, v text)',
  },
  {
    name: 'a trigger',
    sqlState: 'P0001',
    ddl: `CREATE TABLE t (id int, v text); ${trigger('BEFORE INSERT ON t FOR EACH ROW', "IF NEW.id = 4 THEN RAISE 'no'; END IF; RETURN NEW;")}`,
  },
  {
    name: 'a partition that is missing',
    sqlState: '23514',
    ddl: 'CREATE TABLE t (id int, v text) PARTITION BY RANGE (id); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (4)',
  },
  {
    name: 'a length',
    sqlState: '22001',
    ddl: 'CREATE TABLE t (id int, v varchar(2))',
    sets: [...SETS, { id: 6, v: 'long' }],
  },
  {
    name: 'a deferred key',
    sqlState: '23505',
    ddl: 'CREATE TABLE t (id int UNIQUE DEFERRABLE INITIALLY DEFERRED, v text)',
    sets: [...SETS, { id: 1, v: 'x' }],
  },
  {
    name: 'a key, where the first page is stored already',
    sqlState: '23505',
    ddl: 'CREATE TABLE t (id int UNIQUE, v text)',
    sets: [...SETS, { id: 1, v: 'x' }],
  },
];

async function prepare({ ddl }: Table): Promise<void> {
  await database.query('DROP TABLE IF EXISTS t, journal CASCADE');
  await database.query('DROP DOMAIN IF EXISTS small, tiny');
  for (const statement of ddl.split(/;(?=\s*(?:CREATE|ALTER|INSERT|GRANT))/)) await database.query(statement);
}

const write = ({ role }: Table, work: () => Promise<unknown>): Promise<unknown> =>
  role === undefined ? work() : engine.transaction(work, { settings: { role } });

async function seen(): Promise<unknown> {
  const [{ there } = { there: null }] = await database.query("SELECT to_regclass('journal')::text AS there");
  const rows = await database.query('SELECT * FROM t ORDER BY id, v');
  return there === null ? rows : [rows, await database.query('SELECT * FROM journal ORDER BY n')];
}

describe.each(stored)('an executemany into a table with $name', (table) => {
  const { insert = INSERT, sets = SETS } = table;

  it('stores what the same rows store one by one, also in pages and the second time', async () => {
    await prepare(table);
    await write(table, async () => {
      for (const set of sets) await engine.execute(text(insert), set);
    });
    const one = await seen();
    for (const insertmanyvaluesPageSize of [1_000, 2, 1_000]) {
      await prepare(table);
      await write(table, async () => engine.execute(text(insert), sets, { insertmanyvaluesPageSize }));
      expect(await seen()).toEqual(one);
    }
  });
});

describe.each(refused)('an executemany that $name refuses', (table) => {
  const { insert = INSERT, sets = SETS, sqlState } = table;

  it.each([1_000, 2])('stores nothing of it, in pages of %d rows', async (insertmanyvaluesPageSize) => {
    await prepare(table);
    const failure = await write(table, async () =>
      engine.execute(text(insert), sets, { insertmanyvaluesPageSize }),
    ).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(DBAPIError);
    expect(failure).toMatchObject({ sqlState });
    expect(await database.query('SELECT * FROM t')).toEqual([]);
  });
});

it('a trigger of the statement runs once for a page, on every session', async () => {
  const table: Table = {
    name: '',
    ddl: `CREATE TABLE t (id int, v text); CREATE TABLE journal (n serial, rows int); ${trigger('AFTER INSERT ON t REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT', 'INSERT INTO journal (rows) SELECT count(*) FROM fresh; RETURN NULL;')}`,
  };
  await prepare(table);
  for (let run = 0; run < 2; run += 1)
    await engine.execute(text(INSERT), SETS, { insertmanyvaluesPageSize: 3 });
  expect(await database.query('SELECT rows FROM journal ORDER BY n')).toEqual(
    [3, 2, 3, 2].map((rows) => ({ rows })),
  );
});
