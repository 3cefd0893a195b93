import {
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  DummyDriver,
  sql as kyselySql,
} from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ArgumentError } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { failureOf, ItemDatabase } from '../../support/items.js';

interface Tables {
  readonly 'tenant.person': { readonly id: number; readonly name: string; readonly facts: object };
}

const builder = new Kysely<Tables>({
  dialect: builderDialect(),
});

let items: ItemDatabase;
let engine: AsyncEngine;

beforeAll(async () => {
  items = await ItemDatabase.open('schema_translation');
  for (const schema of ['blue', 'red"x'])
    await items.database.query(
      `CREATE SCHEMA "${schema.replace('"', '""')}" CREATE TABLE person (id int, name text, facts jsonb)`,
    );
});
beforeEach(() => {
  engine = items.engine({ executionOptions: { schemaTranslateMap: { tenant: 'blue' } } });
});
afterEach(async () => {
  await items.database.query('TRUNCATE blue.person');
  await items.expectClean();
});
afterAll(() => items.close());

const ann = {
  id: 1,
  name: 'ann',
  facts: { kind: 'SchemableIdentifierNode', schema: { kind: 'x', name: 'tenant' } },
};
const everybody = () => items.database.query('SELECT * FROM blue.person');

describe('schemaTranslateMap on Kysely queries', () => {
  it('replaces the schema of the tables of INSERT, SELECT, UPDATE and DELETE, and of their columns', async () => {
    await engine.execute(builder.insertInto('tenant.person').values(ann));
    const names = builder
      .selectFrom('tenant.person')
      .select('tenant.person.name')
      .where('tenant.person.id', '=', 1);
    expect(await engine.scalar(names)).toBe('ann');
    await engine.execute(builder.updateTable('tenant.person').set({ name: 'eve' }).where('id', '=', 1));
    expect(await engine.scalar(names)).toBe('eve');
    await engine.execute(builder.deleteFrom('tenant.person').where('tenant.person.id', '=', 1));
    expect(await everybody()).toEqual([]);
  });

  it('reaches subqueries, common table expressions and withSchema()', async () => {
    await engine.execute(builder.insertInto('tenant.person').values(ann));
    const query = builder
      .with('some', (part) => part.selectFrom('tenant.person').select('id'))
      .selectFrom('some')
      .select('some.id')
      .where('some.id', 'in', (part) => part.selectFrom('tenant.person').select('tenant.person.id'));
    expect(await engine.scalar(query)).toBe(1);
    const other = new Kysely<{ person: { id: number } }>({ dialect: builderDialect() }).withSchema('tenant');
    expect(await engine.scalar(other.selectFrom('person').select('id'))).toBe(1);
  });

  it('leaves values alone, whatever they look like', async () => {
    await engine.execute(builder.insertInto('tenant.person').values(ann));
    expect(await everybody()).toEqual([ann]);
  });

  it('quotes what it puts in', async () => {
    const options = { schemaTranslateMap: { tenant: 'red"x' } };
    const query = builder.selectFrom('tenant.person').select('id');
    expect(await engine.execute(query, undefined, options).all()).toEqual([]);
  });

  it.each([
    ['is compiled already', () => builder.selectFrom('tenant.person').select('id').compile()],
    ['takes no plugin', () => builder.schema.dropTable('tenant.person')],
  ])('refuses a query that %s, and says what to do', async (_, query) => {
    const failure = await failureOf(engine.execute(query()));
    expect(failure).toBeInstanceOf(ArgumentError);
    expect(String(failure)).toMatch(/'tenant'.*builder itself/s);
  });

  it('takes those where no schema of theirs is mapped', async () => {
    expect(await engine.scalar(kyselySql`SELECT ${1}::int`.compile(builder))).toBe(1);
    await engine.execute(builder.schema.createTable('blue.other').addColumn('id', 'integer'));
    await engine.execute(builder.schema.dropTable('blue.other'));
  });
});

function builderDialect() {
  return {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (database: Kysely<unknown>) => new PostgresIntrospector(database),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  };
}
