import { describe, expectTypeOf, it } from 'vitest';
import type { Executable } from '../../lib/engine/statement/executable.js';
import type { Parameters, Row } from '../../lib/engine/statement/row.js';
import type { Sql } from '../../lib/engine/statement/sql-fragment.js';
import { sql } from '../../lib/engine/statement/sql.js';
import { bindparam, text, type TextClause } from '../../lib/engine/statement/text.js';

interface User {
  id: number;
  name: string;
}

/** Stands for `execute` of a connection. */
declare function rowOf<R = Row>(statement: Executable<R>, parameters?: Parameters): R;

/** The shape of a Kysely builder: the row type is no property of what `compile()` gives. */
interface KyselyLike<O> {
  compile(): { readonly query: object; readonly sql: string; readonly parameters: readonly unknown[] };
  execute(options?: object): Promise<O[]>;
  executeTakeFirst(options?: object): Promise<O | undefined>;
  executeTakeFirstOrThrow(error?: (() => Error) | object): Promise<O>;
}

/** The shape of a Drizzle builder. */
interface DrizzleLike<T> extends Promise<T[]> {
  readonly _: { readonly result: T[] };
  execute(values?: Record<string, unknown>): Promise<T[]>;
  toSQL(): { sql: string; params: unknown[] };
}

declare const kysely: KyselyLike<User>;
declare const drizzle: DrizzleLike<User>;

describe('the row type of a statement', () => {
  it('is what text and sql were given', () => {
    expectTypeOf(rowOf(text<User>('SELECT 1'))).toEqualTypeOf<User>();
    expectTypeOf(rowOf(sql<User>`SELECT ${1}`)).toEqualTypeOf<User>();
    expectTypeOf(rowOf(text<[number]>('SELECT 1'))).toEqualTypeOf<[number]>();
  });

  it('is Row when nothing was given', () => {
    expectTypeOf(text('SELECT 1')).toEqualTypeOf<TextClause<Row>>();
    expectTypeOf(sql`SELECT 1`).toEqualTypeOf<Sql<Row>>();
    expectTypeOf(rowOf(text('SELECT 1'))).toEqualTypeOf<Row>();
    expectTypeOf<Row>().toEqualTypeOf<Record<string, unknown>>();
  });

  it('stays with bindparams', () => {
    expectTypeOf(text<User>('SELECT :a').bindparams({ a: 1 }, bindparam('a'))).toEqualTypeOf<
      TextClause<User>
    >();
  });

  it('carries over from a Kysely query', () => {
    expectTypeOf(rowOf(kysely)).toEqualTypeOf<User>();
  });

  it('is Row for a compilable that does not tell', () => {
    expectTypeOf(rowOf({ compile: () => ({ sql: '', parameters: [] }) })).toEqualTypeOf<Row>();
  });

  it('is Row for a Drizzle query, whose keys are not the names of the columns', () => {
    expectTypeOf(rowOf(drizzle)).toEqualTypeOf<Row>();
    expectTypeOf(rowOf<User>(drizzle)).toEqualTypeOf<User>();
  });

  it('is Row for a pg query config', () => {
    expectTypeOf(rowOf({ text: 'SELECT $1', values: [1], name: 'x' })).toEqualTypeOf<Row>();
  });

  it('is not exchanged for another', () => {
    expectTypeOf<TextClause<User>>().not.toExtend<Executable<{ id: string }>>();
    expectTypeOf<Sql<User>>().not.toExtend<Executable<{ id: string }>>();
    expectTypeOf<KyselyLike<User>>().not.toExtend<Executable<{ id: string }>>();
    expectTypeOf<TextClause<User>>().toExtend<Executable<{ id: number }>>();
    expectTypeOf<TextClause<User>>().toExtend<Executable<unknown>>();
  });
});

describe('Executable', () => {
  it('takes no string, nothing and no list', () => {
    expectTypeOf<string>().not.toExtend<Executable<unknown>>();
    expectTypeOf<undefined>().not.toExtend<Executable<unknown>>();
    expectTypeOf<null>().not.toExtend<Executable<unknown>>();
    expectTypeOf<string[]>().not.toExtend<Executable<unknown>>();
  });
});

describe('Parameters', () => {
  class Form {
    readonly id = 1;
  }

  it('takes a record, and an object of an interface or a class', () => {
    expectTypeOf<Record<string, unknown>>().toExtend<Parameters>();
    expectTypeOf<{ readonly a: 1 }>().toExtend<Parameters>();
    expectTypeOf<User>().toExtend<Parameters>();
    expectTypeOf<Form>().toExtend<Parameters>();
    rowOf(text('SELECT :a'), { a: 1, b: undefined });
  });

  it('takes no text, no list and nothing else that has no names', () => {
    expectTypeOf<string>().not.toExtend<Parameters>();
    expectTypeOf<number>().not.toExtend<Parameters>();
    expectTypeOf<null>().not.toExtend<Parameters>();
    expectTypeOf<unknown[]>().not.toExtend<Parameters>();
    expectTypeOf<readonly [1, 2]>().not.toExtend<Parameters>();
    expectTypeOf<Map<string, unknown>>().not.toExtend<Parameters>();
    expectTypeOf<Set<unknown>>().not.toExtend<Parameters>();
    expectTypeOf<() => void>().not.toExtend<Parameters>();
  });
});

describe('sql', () => {
  it('takes only templates as statements', () => {
    expectTypeOf<string>().not.toExtend<TemplateStringsArray>();
    expectTypeOf(sql).parameter(0).toEqualTypeOf<TemplateStringsArray>();
  });
});
