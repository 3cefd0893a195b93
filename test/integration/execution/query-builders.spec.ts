import { asc, eq, fillPlaceholders, gt, sql as drizzleSql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import {
  bigint,
  date,
  integer,
  jsonb,
  PgDialect,
  pgTable,
  QueryBuilder,
  text as textColumn,
  timestamp,
} from 'drizzle-orm/pg-core';
import { drizzle as drizzleProxy } from 'drizzle-orm/pg-proxy';
import {
  CompiledQuery,
  DummyDriver,
  Kysely,
  MysqlAdapter,
  MysqlIntrospector,
  MysqlQueryCompiler,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  sql as kyselySql,
  type Generated,
} from 'kysely';
import {
  ArgumentError,
  ObjectNotExecutableError,
  ProgrammingError,
  sql,
  StatementError,
  type AsyncEngine,
  type Executable,
} from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TestDatabase } from '../../support/server/postgres.js';
import { failureOf, ItemDatabase } from '../../support/items.js';

interface Person {
  id: Generated<string>;
  full_name: string | null;
  born: string | null;
  seen: Date | null;
  facts: unknown;
  tags: string[] | null;
  marks: number[] | null;
}

interface Tables {
  item: { name: string; place: number | null };
  person: Person;
}

const kysely = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
});
const kyselyOfMysql = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new MysqlAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new MysqlIntrospector(db),
    createQueryCompiler: () => new MysqlQueryCompiler(),
  },
});

const item = pgTable('item', { name: textColumn().primaryKey(), place: integer() });
const person = pgTable('person', {
  id: bigint({ mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
  fullName: textColumn('full_name'),
  born: date({ mode: 'string' }),
  seen: timestamp({ withTimezone: true }),
  facts: jsonb(),
  tags: textColumn().array(),
  marks: integer().array(),
});
const builder = new QueryBuilder();
const db = drizzle.mock();

const SEEN = new Date('2026-03-29T01:30:00.123Z');
const FACTS = { a: [1, null, 'x"y'], b: { c: true } };
const FULL = { born: '2026-03-29', seen: SEEN, facts: FACTS, tags: ['a', 'b"c,d', ''], marks: [1, 2] };
const EMPTY = { born: null, seen: null, facts: null, tags: null, marks: null };

const byKysely = (name: string) => kysely.insertInto('item').values({ name, place: null });
const byDrizzle = (name: string) => db.insert(item).values({ name });
const bySql = (name: string) => sql`INSERT INTO item (name) VALUES (${name})`;
const fromEach = (): Executable<unknown>[] => [byKysely('a'), bySql('b'), byDrizzle('c')];

let items: ItemDatabase;
let database: TestDatabase;
let engine: AsyncEngine;

beforeAll(async () => {
  items = await ItemDatabase.open('builders');
  ({ database } = items);
  await database.query(
    `CREATE TABLE person (id INT8 PRIMARY KEY GENERATED ALWAYS AS IDENTITY (START 9007199254740993), full_name TEXT,
     born DATE, seen TIMESTAMPTZ, facts JSONB, tags TEXT[], marks INT[])`,
  );
});
beforeEach(() => {
  engine = items.engine();
});
afterEach(async () => {
  await database.query('TRUNCATE person RESTART IDENTITY');
  await items.expectClean();
});
afterAll(() => items.close());

async function storeItems(): Promise<void> {
  await database.query(`INSERT INTO item VALUES ('a', 1), ('b', 2), ('c', 3)`);
}

describe('a Kysely query', () => {
  it('selects with a join, a condition, an alias and an order', async () => {
    await storeItems();
    const query = kysely
      .selectFrom('item as low')
      .innerJoin('item as high', (join) => join.on('high.place', '>', (each) => each.ref('low.place')))
      .select(['low.name as from', 'high.name as to'])
      .where('low.place', '<', 3)
      .orderBy('low.name')
      .orderBy('high.name', 'desc');

    expect(await engine.execute(query).all()).toEqual([
      { from: 'a', to: 'c' },
      { from: 'a', to: 'b' },
      { from: 'b', to: 'c' },
    ]);
  });

  it('inserts, updates and deletes, with the rows returned and the number of those affected', async () => {
    const inserted = await engine.execute(byKysely('a').returning(['name', 'place as at'])).one();
    const updated = await engine.execute(
      kysely.updateTable('item').set({ place: 7 }).where('name', '=', 'a'),
    );
    const deleted = await engine
      .execute(kysely.deleteFrom('item').where('place', '=', 7).returningAll())
      .all();

    expect([inserted, updated.rowCount, deleted]).toEqual([
      { name: 'a', at: null },
      1,
      [{ name: 'a', place: 7 }],
    ]);
  });

  it.each([
    ['values', FULL],
    ['nulls', EMPTY],
  ])('carries %s of every type there and back', async (_, values) => {
    const query = kysely
      .insertInto('person')
      .values({ full_name: 'x', ...values })
      .returningAll();

    expect(await engine.execute(query).one()).toEqual({ id: '9007199254740993', full_name: 'x', ...values });
  });

  it('takes a bigint as a parameter of an int8 column', async () => {
    await engine.execute(kysely.insertInto('person').values({ full_name: 'x' }));
    const query = kysely
      .selectFrom('person')
      .select('id')
      .where('id', '=', kyselySql<string>`${9_007_199_254_740_993n}`);

    expect(await engine.scalar(query)).toBe('9007199254740993');
  });

  it('runs in the form that compile() gives, which is how its sql tag runs', async () => {
    const tagged = kyselySql<{ n: number }>`SELECT ${41}::int + 1 AS n`.compile(kysely);

    expect(await engine.execute<{ n: number }>(tagged).one()).toEqual({ n: 42 });
    expect(await engine.execute(byKysely('a').returningAll().compile()).one()).toEqual({
      name: 'a',
      place: null,
    });
  });

  it.each(['SELECT $1::int + 1', 'SELECT $01::int + 1'])('runs as raw SQL: %s', async (text) => {
    expect(await engine.scalar(CompiledQuery.raw(text, [1]))).toBe(2);
  });

  it('is streamed, on an engine and on a connection', async () => {
    await storeItems();
    const query = kysely.selectFrom('item').select('name').orderBy('name');
    const names: string[] = [];
    for await (const { name } of engine.stream(query, undefined, { yieldPer: 2 })) names.push(name);
    await using connection = await engine.connect();
    for await (const { name } of connection.stream(query)) names.push(name);

    expect(names).toEqual(['a', 'b', 'c', 'a', 'b', 'c']);
  });
});

describe('a Drizzle query', () => {
  it('selects with a join, a condition, an alias and an order', async () => {
    await storeItems();
    const query = builder
      .select({ fullName: person.fullName, at: drizzleSql`${item.place} * 2`.as('at') })
      .from(item)
      .leftJoin(person, eq(person.fullName, item.name))
      .where(gt(item.place, 1))
      .orderBy(asc(item.name));

    expect(await engine.execute(query).all()).toEqual([
      { full_name: null, at: 4 },
      { full_name: null, at: 6 },
    ]);
  });

  it('inserts, updates and deletes, with the rows returned and the number of those affected', async () => {
    const inserted = await engine.execute(byDrizzle('a').returning()).one();
    const updated = await engine.execute(db.update(item).set({ place: 7 }).where(eq(item.name, 'a')));
    const deleted = await engine.execute(db.delete(item).where(eq(item.place, 7)).returning()).all();

    expect([inserted, updated.rowCount, deleted]).toEqual([
      { name: 'a', place: null },
      1,
      [{ name: 'a', place: 7 }],
    ]);
  });

  it.each([
    ['values', FULL],
    ['nulls', EMPTY],
  ])('carries %s of every type there and back', async (_, values) => {
    const query = db
      .insert(person)
      .values({ fullName: 'x', ...values })
      .returning();

    expect(await engine.execute(query).one()).toEqual({ id: '9007199254740993', full_name: 'x', ...values });
  });

  it('takes a bigint as a parameter of an int8 column', async () => {
    await engine.execute(db.insert(person).values({ fullName: 'x' }));
    const query = builder.select({ id: person.id }).from(person).where(eq(person.id, 9_007_199_254_740_993n));

    expect(await engine.scalar(query)).toBe('9007199254740993');
  });

  it('runs with placeholders that were filled', async () => {
    const { sql: query, params } = db
      .insert(item)
      .values({ name: drizzleSql.placeholder('name') })
      .toSQL();
    await engine.execute({ text: query, values: fillPlaceholders(params, { name: 'a' }) });

    expect(await items.names()).toEqual(['a']);
  });

  it('runs as a sql tag through the dialect', async () => {
    const tagged = { toSQL: () => new PgDialect().sqlToQuery(drizzleSql`SELECT ${41}::int + 1 AS n`) };

    expect(await engine.scalar(tagged)).toBe(42);
  });

  it('is streamed, on an engine and on a connection', async () => {
    await storeItems();
    const query = builder.select({ name: item.name }).from(item).orderBy(item.name);
    const rows = await engine.stream(query, undefined, { yieldPer: 2 }).all();
    await using connection = await engine.connect();

    expect([...rows, ...(await connection.stream(query).all())].map(({ name }) => name).join('')).toBe(
      'abcabc',
    );
  });

  it('gives rows by its own names, decoded, through its proxy driver', async () => {
    const proxy = drizzleProxy(async (query, values: unknown[], method) => {
      const result = await engine.execDriverSql(query, values);
      return { rows: method === 'all' ? result.tuples().all() : result.all() };
    });
    const rolledBack = engine.transaction(async () => {
      const rows = await proxy
        .insert(person)
        .values({ fullName: 'x', ...FULL })
        .returning();
      expect(rows).toEqual([{ id: 9_007_199_254_740_993n, fullName: 'x', ...FULL }]);
      throw new RangeError('enough');
    });

    await expect(rolledBack).rejects.toThrow('enough');
    expect(await database.query('SELECT FROM person')).toEqual([]);
  });
});

describe('a query in the form of pg', () => {
  it.each<[string, Executable]>([
    ['a query config', { text: 'SELECT $1::int AS n, $2::text AS s', values: [1, null] }],
    [
      'a template tag value, whose text is a getter',
      new (class {
        readonly values = [1, null];
        get text(): string {
          return 'SELECT $1::int AS n, $2::text AS s';
        }
      })(),
    ],
  ])('runs as %s', async (_, query) => {
    expect(await engine.execute(query).one()).toEqual({ n: 1, s: null });
  });
});

describe('in one transaction with sql``', () => {
  it('all are committed together', async () => {
    await engine.transaction(async () => {
      for (const query of fromEach()) await engine.execute(query);
      expect(await items.names()).toEqual([]);
    });

    expect(await items.names()).toEqual(['a', 'b', 'c']);
  });

  it('all are rolled back together', async () => {
    await using connection = await engine.connect();
    const transaction = await connection.begin();
    for (const query of fromEach()) await connection.execute(query);
    await transaction.rollback();

    expect(await items.names()).toEqual([]);
  });

  it('a nested one takes back its own and no others', async () => {
    await engine.transaction(async () => {
      await engine.execute(byKysely('a'));
      const nested = engine.transaction(async () => {
        await engine.execute(byDrizzle('b'));
        await engine.execute(byKysely('a'));
      });
      await expect(nested).rejects.toThrow('duplicate key');
      await engine.execute(byDrizzle('c'));
    });

    expect(await items.names()).toEqual(['a', 'c']);
  });
});

describe('refused', () => {
  it('before it is sent: values for the placeholders of another database', async () => {
    const failure = await failureOf(
      engine.execute(kyselyOfMysql.selectFrom('item').selectAll().where('place', '=', 1)),
    );

    expect(failure).toBeInstanceOf(ArgumentError);
    expect(failure).toHaveProperty('message', expect.stringContaining('built for another database'));
  });

  it('by the server: SQL of another database without values', async () => {
    const failure = await failureOf(engine.execute(kyselyOfMysql.selectFrom('item').selectAll()));

    expect(failure).toBeInstanceOf(ProgrammingError);
    expect(failure).toHaveProperty('sqlState', '42601');
  });

  it('a builder that fails to compile, with its error as the cause', async () => {
    // A tag of Kysely's compiles only with an instance, which its type says and JavaScript does not.
    const failure = await failureOf(engine.execute(kyselySql`SELECT 1` as unknown as Executable));

    expect(failure).toBeInstanceOf(StatementError);
    expect(failure).toHaveProperty('cause.message', 'this query cannot be compiled to SQL');
  });

  it('an incomplete builder, by the server', async () => {
    expect(await failureOf(engine.execute(kysely.updateTable('item')))).toBeInstanceOf(ProgrammingError);
  });

  it('a Drizzle placeholder that nobody filled, in a condition or in a row', async () => {
    const name = drizzleSql.placeholder('name');
    const condition = await failureOf(engine.execute(builder.select().from(item).where(eq(item.name, name))));
    const row = await failureOf(engine.execute(db.insert(item).values({ name })));

    expect([condition, row]).toEqual([expect.any(ArgumentError), expect.any(ArgumentError)]);
    expect(condition).toHaveProperty('message', expect.stringContaining('fillPlaceholders'));
  });

  it.each([
    ['a raw query of Drizzle', () => db.execute(drizzleSql`SELECT 1`)],
    ['a prepared query of Drizzle', () => db.select().from(item).prepare('all')],
  ])('%s, which has no toSQL()', async (_, query) => {
    const failure = await failureOf(engine.execute(query() as unknown as Executable));

    expect(failure).toBeInstanceOf(ObjectNotExecutableError);
  });

  it.each<[string, () => Executable]>([
    ['a Kysely query', () => kysely.selectFrom('item').selectAll()],
    ['a compiled Kysely query', () => kysely.selectFrom('item').selectAll().compile()],
    ['a Drizzle query', () => builder.select().from(item)],
  ])('parameters beside %s', async (_, query) => {
    expect(await failureOf(engine.execute(query(), { place: 1 }))).toBeInstanceOf(ArgumentError);
    expect(await failureOf(engine.execute(query(), [{ place: 1 }, { place: 2 }]))).toBeInstanceOf(
      ArgumentError,
    );
  });
});
