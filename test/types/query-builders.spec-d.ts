import { drizzle } from 'drizzle-orm/node-postgres';
import { integer, pgTable, QueryBuilder, text as textColumn } from 'drizzle-orm/pg-core';
import { sql as kyselySql, type CompiledQuery, type Generated, type InsertResult, type Kysely } from 'kysely';
import type {
  AsyncConnection,
  AsyncEngine,
  AsyncResult,
  Executable,
  PendingResult,
  Row,
} from 'nest-async-engine/engine';
import { describe, expectTypeOf, it } from 'vitest';

interface Tables {
  item: { id: Generated<number>; name: string; place: number | null };
}

interface Item {
  id: number;
  name: string;
  place: number | null;
}

const item = pgTable('item', { id: integer().notNull(), fullName: textColumn('name') });

declare const engine: AsyncEngine;
declare const connection: AsyncConnection;
declare const kysely: Kysely<Tables>;

describe('the row type of a Kysely query', () => {
  const all = () => kysely.selectFrom('item').selectAll();

  it('carries over to every question of execute()', () => {
    expectTypeOf(engine.execute(all()).one()).toEqualTypeOf<Promise<Item>>();
    expectTypeOf(engine.execute(all()).all()).toEqualTypeOf<Promise<Item[]>>();
    expectTypeOf(connection.execute(all()).oneOrNone()).resolves.toEqualTypeOf<Item | undefined>();
  });

  it('carries over to stream()', () => {
    expectTypeOf(engine.stream(all())).toEqualTypeOf<AsyncResult<Item>>();
    expectTypeOf(connection.stream(all()).all()).resolves.toEqualTypeOf<Item[]>();
  });

  it('is that of the chosen columns, with their aliases', () => {
    const chosen = kysely.selectFrom('item').select(['id', 'name as label']);

    expectTypeOf(engine.execute(chosen).one()).resolves.toEqualTypeOf<{ id: number; label: string }>();
  });

  it('is that of RETURNING', () => {
    const inserted = kysely.insertInto('item').values({ name: 'a' }).returning('id');
    const updated = kysely.updateTable('item').set({ name: 'b' }).returningAll();
    const deleted = kysely.deleteFrom('item').returning('name');

    expectTypeOf(engine.execute(inserted).one()).resolves.toEqualTypeOf<{ id: number }>();
    expectTypeOf(engine.execute(updated).one()).resolves.toEqualTypeOf<Item>();
    expectTypeOf(engine.execute(deleted).one()).resolves.toEqualTypeOf<{ name: string }>();
  });

  it('is Kysely’s own summary without RETURNING, where there are no rows', () => {
    const query = kysely.insertInto('item').values({ name: 'a' });

    expectTypeOf(engine.execute(query)).toEqualTypeOf<PendingResult<InsertResult>>();
  });

  it('is not exchanged for another', () => {
    expectTypeOf(all()).toExtend<Executable<Item>>();
    expectTypeOf(all()).not.toExtend<Executable<{ id: string }>>();
  });
});

describe('the row type of a compiled Kysely query', () => {
  it('is Row until it is named, because O is in none of its properties', () => {
    const compiled = kysely.selectFrom('item').selectAll().compile();

    expectTypeOf(compiled).toEqualTypeOf<CompiledQuery<Item>>();
    expectTypeOf<CompiledQuery<Item>>().toExtend<CompiledQuery<{ id: string }>>();
    expectTypeOf(engine.execute(compiled).one()).resolves.toEqualTypeOf<Row>();
    expectTypeOf(engine.execute<Item>(compiled).one()).resolves.toEqualTypeOf<Item>();
  });

  it('is needed for a tag of Kysely, which does not compile by itself', () => {
    const tagged = kyselySql<Item>`SELECT 1`;

    expectTypeOf(tagged).not.toExtend<Executable<unknown>>();
    expectTypeOf(tagged.compile(kysely)).toExtend<Executable<Item>>();
  });
});

describe('the row type of a Drizzle query', () => {
  const selected = () => new QueryBuilder().select({ key: item.id, label: item.fullName }).from(item);
  const inserted = () => drizzle.mock().insert(item).values({ id: 1 }).returning();

  it('is Row, by the names of the columns', () => {
    expectTypeOf(engine.execute(selected()).one()).resolves.toEqualTypeOf<Row>();
    expectTypeOf(engine.execute(inserted()).all()).resolves.toEqualTypeOf<Row[]>();
    expectTypeOf(engine.stream(selected())).toEqualTypeOf<AsyncResult<Row>>();
  });

  it('is what the caller names', () => {
    type Named = { id: number; name: string | null };

    expectTypeOf(engine.execute<Named>(selected()).one()).resolves.toEqualTypeOf<Named>();
    expectTypeOf(connection.stream<Named>(selected()).all()).resolves.toEqualTypeOf<Named[]>();
  });
});
