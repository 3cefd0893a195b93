import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ArgumentError, StatementError } from '../../../lib/engine/errors/errors.js';
import { CompiledCache } from '../../../lib/engine/statement/compiled-cache.js';
import { quoteIdentifier } from '../../../lib/engine/statement/identifier.js';
import type { Sql } from '../../../lib/engine/statement/sql-fragment.js';
import { sql } from '../../../lib/engine/statement/sql.js';
import { bindparam, text } from '../../../lib/engine/statement/text.js';

function written(statement: Sql<unknown>): readonly [string, readonly unknown[]] {
  const command = statement.toCommand();
  return [command.text, command.values];
}

function messageOf(
  work: () => unknown,
  kind: typeof ArgumentError | typeof StatementError = ArgumentError,
): string {
  try {
    work();
  } catch (error) {
    if (error instanceof kind) return error.message;
    throw error;
  }
  return 'nothing was thrown';
}

describe('sql', () => {
  it('binds every value, in order', () => {
    expect(written(sql`SELECT ${1}, ${"x'; DROP TABLE t"}, ${null}`)).toEqual([
      'SELECT $1, $2, $3',
      [1, "x'; DROP TABLE t", null],
    ]);
  });

  it('binds a value that appears twice twice', () => {
    const id = 7;

    expect(written(sql`${id} ${id}`)).toEqual(['$1 $2', [7, 7]]);
  });

  it('splices parts and numbers their values on', () => {
    const condition = sql`a = ${1} AND ${sql`b = ${2}`}`;

    expect(written(sql`SELECT ${0} WHERE ${condition} LIMIT ${3}`)).toEqual([
      'SELECT $1 WHERE a = $2 AND b = $3 LIMIT $4',
      [0, 1, 2, 3],
    ]);
  });

  it.each([
    ['a question mark', sql`SELECT a ? 'k' AND ${1}`, `SELECT a ? 'k' AND $1`],
    ['a colon', sql`SELECT ':x', :x, ${1}::int`, `SELECT ':x', :x, $1::int`],
    ['nothing', sql``, ''],
  ])('leaves %s alone', (_, statement, sent) => {
    expect(written(statement)[0]).toBe(sent);
  });

  it('keeps a digit behind a value apart from its number', () => {
    expect(written(sql`LIMIT ${1}0`)[0]).toBe('LIMIT $1 0');
    expect(written(sql`LIMIT ${1}${sql.raw('0')}`)[0]).toBe('LIMIT $1 0');
  });

  it.each([
    ['undefined', undefined],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a text()', text('SELECT 1')],
  ])('refuses %s and says which placeholder it is', (_, value) => {
    expect(messageOf(() => sql`SELECT ${'secret'} WHERE id = ${value}`)).toMatch(
      /placeholder 2 \(after " WHERE id = "\)/,
    );
    expect(messageOf(() => sql`SELECT ${'secret'} WHERE id = ${value}`)).not.toContain('secret');
  });

  it.each([['SELECT 1'], [['SELECT 1']], [undefined]])(
    'refuses to be called as a function with %o',
    (argument) => {
      expect(messageOf(() => sql(argument as unknown as TemplateStringsArray))).toContain('template tag');
    },
  );

  const cache = new CompiledCache(10);
  it.each<[string, (value: unknown) => unknown]>([
    ['a literal', (value) => sql`SELECT '${value}'`],
    ['a pattern', (value) => sql`SELECT ${1} WHERE name LIKE '%${value}%'`],
    ['a literal with backslashes', (value) => sql`SELECT E'it\\'s ${value}'`],
    ['a dollar-quoted literal', (value) => sql`SELECT $a$ ${value} $a$`],
    ['a quoted name', (value) => sql`SELECT 1 AS "${value}"`],
    ['a comment to the end of the line', (value) => sql`SELECT 1 -- ${value}`],
    ['a comment', (value) => sql`SELECT 1 /* ${value} */`],
    ['a literal, in a part', (value) => sql`SELECT '${sql`a ${value}`}'`],
    ['a literal behind another', (value) => sql`SELECT 'a' || '${value}'`],
  ])('refuses a value inside %s, where the server would see none', (_place, make) => {
    const run = (): string =>
      messageOf(() => (make('secret') as Sql<unknown>).toCommand(cache), StatementError);
    const message = run();
    expect(message).toMatch(/the value \$[12] stands inside quotes or a comment/);
    expect(message).not.toContain('secret');
    // Not only the first time.
    expect(run()).toBe(message);
  });

  it('takes a value beside literals and comments, and parts without values inside of them', () => {
    const value = 1;
    expect(written(sql`SELECT 'a' || ${value} || "b" -- it's\n, ${value}`)).toEqual([
      `SELECT 'a' || $1 || "b" -- it's\n, $2`,
      [1, 1],
    ]);
    expect(written(sql`SELECT '${sql.raw('x')}', /* ${sql.id('y')} */ ${value}`)).toEqual([
      `SELECT 'x', /* "y" */ $1`,
      [1],
    ]);
    expect(written(sql`SELECT a - ${value} / ${value}, $$b$$, ${value}`)).toEqual([
      'SELECT a - $1 / $2, $$b$$, $3',
      [1, 1, 1],
    ]);
  });

  it('refuses an escape that JavaScript does not know', () => {
    expect(messageOf(() => sql`SELECT '\u{zz}'`)).toContain('escape');
  });

  it('shows its SQL and never its values', () => {
    const statement = sql`SELECT ${'secret'}`;

    expect(String(statement)).toBe('SELECT $1');
    expect(inspect(statement, { showHidden: true })).not.toContain('secret');
  });

  it('writes the SQL of one place in the source only once per cache', () => {
    const cache = new CompiledCache(5);
    const find = (id: number): Sql => sql`SELECT ${id}`;
    const [first, second] = [find(1).toCommand(cache), find(2).toCommand(cache)];

    expect([first, second]).toEqual([
      { text: 'SELECT $1', values: [1] },
      { text: 'SELECT $1', values: [2] },
    ]);
    expect(cache.size).toBe(1);
  });

  it('does not mistake one part for another in the cache', () => {
    const cache = new CompiledCache(5);
    const find = (condition: Sql): Sql => sql`SELECT 1 WHERE ${condition}`;
    const texts = [sql`a = ${1}`, sql`b = ${1}`].map((part) => find(part).toCommand(cache).text);

    expect(texts).toEqual(['SELECT 1 WHERE a = $1', 'SELECT 1 WHERE b = $1']);
  });
});

describe('sql.id', () => {
  it('quotes each of its names', () => {
    expect(written(sql`SELECT * FROM ${sql.id('my schema', 'a"b.c')}`)).toEqual([
      'SELECT * FROM "my schema"."a""b.c"',
      [],
    ]);
  });

  it('takes at least one name', () => {
    expect(messageOf(() => sql.id())).toContain('at least one');
  });

  it('refuses a name that cannot be, when it is made', () => {
    expect(messageOf(() => sql.id('a', ''))).toContain('empty');
  });

  it('has its schema replaced by a schema translate map, and nothing else', () => {
    const statement = sql`${sql.id('tenant', 'tenant')} ${sql.id('tenant')} ${sql.id('toString', 'x')} ${'tenant'}`;

    expect(statement.toCommand(undefined, { tenant: 'acme' }).text).toBe(
      '"acme"."tenant" "tenant" "toString"."x" $1',
    );
  });

  it('is not remembered by a cache with the schema of another execution', () => {
    const cache = new CompiledCache(5);
    const statement = sql`${sql.id('tenant', 't')}`;
    const texts = ['a', 'b'].map((schema) => statement.toCommand(cache, { tenant: schema }).text);

    expect(texts).toEqual(['"a"."t"', '"b"."t"']);
  });
});

describe('sql.join', () => {
  it('puts a comma between values and parts', () => {
    expect(written(sql.join([1, sql`now()`, sql.id('a')]))).toEqual(['$1, now(), "a"', [1]]);
  });

  it('takes another separator', () => {
    expect(written(sql.join([sql`a = ${1}`, sql`b = ${2}`], sql` AND `))).toEqual([
      'a = $1 AND b = $2',
      [1, 2],
    ]);
  });

  it('refuses an empty list', () => {
    expect(messageOf(() => sql.join([]))).toContain('at least one part');
  });

  it('refuses an undefined part', () => {
    expect(messageOf(() => sql.join([1, undefined]))).toContain('undefined');
  });
});

describe('sql.raw and sql.empty', () => {
  it('take SQL as it is and nothing at all', () => {
    expect(written(sql`SELECT 1 ${sql.raw('ORDER BY 1')}${sql.empty}`)).toEqual(['SELECT 1 ORDER BY 1', []]);
  });

  it('refuse what is no string', () => {
    expect(messageOf(() => sql.raw(5 as unknown as string))).toContain('string');
  });

  it('are told apart by isEmpty', () => {
    expect([sql.empty.isEmpty, sql` `.isEmpty, sql`${1}`.isEmpty, sql`x`.isEmpty]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});

describe('sql.values', () => {
  it('writes rows of arrays', () => {
    const rows = [
      [1, 'a'],
      [2, sql`DEFAULT`],
    ];

    expect(written(sql`INSERT INTO t VALUES ${sql.values(rows)} RETURNING ${9}`)).toEqual([
      'INSERT INTO t VALUES ($1, $2), ($3, DEFAULT) RETURNING $4',
      [1, 'a', 2, 9],
    ]);
  });

  it('writes rows of objects by the keys of the first', () => {
    const rows = [
      { id: 1, name: 'a' },
      { name: 'b', id: 2 },
    ];

    expect(written(sql.values(rows))).toEqual(['($1, $2), ($3, $4)', [1, 'a', 2, 'b']]);
  });

  it('writes rows of objects by the columns that are given', () => {
    expect(written(sql.values([{ id: 1, name: 'a', more: 0 }], ['name', 'id']))).toEqual([
      '($1, $2)',
      ['a', 1],
    ]);
  });

  it.each([
    ['no rows', []],
    ['a row without columns', [[]]],
    ['a row of another length', [[1, 2], [1]]],
    ['an array among objects with other columns', [{ a: 1 }, [1, 2]]],
    ['an object among arrays', [[1], { a: 1 }]],
    ['a missing column', [{ a: 1 }, { b: 1 }]],
    ['a column that the first row does not have', [{ a: 1 }, { a: 1, b: 1 }]],
    ['an undefined column', [{ a: undefined }]],
    ['an undefined value', [[undefined]]],
  ])('refuses %s', (_, rows) => {
    expect(messageOf(() => sql.values(rows))).not.toBe('nothing was thrown');
  });

  it('refuses an array that does not fit the columns that are given', () => {
    expect(messageOf(() => sql.values([[1, 2]], ['a']))).toContain('row 0');
  });
});

describe('sql.array', () => {
  it.each([
    'int8',
    'text',
    'public.mood',
    '"My Type"',
    '"s"."t"',
    'numeric(10,2)',
    'varchar(20)',
    'double precision',
    'character varying(5)',
    'timestamp with time zone',
    'timestamp(3) without time zone',
  ])('casts one parameter to an array of %s', (type) => {
    expect(written(sql`id = ANY(${sql.array([1, null], type)})`)).toEqual([
      `id = ANY($1::${type}[])`,
      [[1, null]],
    ]);
  });

  it.each([
    '',
    'int8[]',
    'int8; DROP TABLE t',
    'int4 OR true',
    "text'",
    '"a',
    'a.b.c',
    'int8)',
    '1a',
    'int8\n--',
  ])('refuses the type %o', (type) => {
    expect(messageOf(() => sql.array([], type))).toContain('type');
  });

  it('refuses an undefined element and says which', () => {
    expect(messageOf(() => sql.array([1, undefined], 'int8'))).toContain('element 1');
  });

  it('refuses what is no array', () => {
    expect(messageOf(() => sql.array('abc' as unknown as string[], 'text'))).toContain('needs an array');
  });
});

describe('quoteIdentifier', () => {
  it.each([
    ['users', '"users"'],
    ['Order', '"Order"'],
    ['a"b', '"a""b"'],
    ['"; DROP TABLE t; --', '"""; DROP TABLE t; --"'],
    ['a.b', '"a.b"'],
  ])('quotes %s', (name, quoted) => {
    expect(quoteIdentifier(name)).toBe(quoted);
  });

  it.each([[''], ['a\0b'], [5], [undefined], [null]])('refuses %o', (name) => {
    expect(() => quoteIdentifier(name as string)).toThrow(ArgumentError);
  });
});

const HOLE: unknown[] = [1];
HOLE.length = 2;

describe('what the builders cannot mean', () => {
  const wrong: Readonly<Record<string, () => unknown>> = {
    'sql.join of a string': () => sql.join('a, b' as never),
    'sql.join with a text': () => sql.join([1, 2], ' OR ' as never),
    'sql.join with null': () => sql.join([1, 2], null as never),
    'sql.values of an object': () => sql.values({ a: 1 } as never),
    'sql.values of null': () => sql.values(null as never),
    'sql.values of a row that is null': () => sql.values([null] as never),
    'sql.values of a hole': () => sql.values(HOLE as never),
    'sql.values of a Map': () => sql.values([new Map([['a', 1]])]),
    'sql.values of a promise': () => sql.values([Promise.resolve({ a: 1 })]),
    'sql.values with a name': () => sql.values([{ a: 1 }], 'a' as never),
    'sql.array of a Set': () => sql.array(new Set([1]) as never, 'int4'),
    'sql.array with a hole': () => sql.array(HOLE, 'int4'),
    'sql.array of a type that is cut off': () => sql.array([1], 't'.repeat(70)),
    'sql.id of a number': () => sql.id(5 as never),
    'sql.id of 64 bytes': () => sql.id('s', 'x'.repeat(64)),
    'sql.id of 64 bytes in 32 characters': () => sql.id('é'.repeat(32)),
    'sql.raw of an object': () => sql.raw({} as never),
    'bindparam with null': () => bindparam('a', null as never),
    'bindparam with a near miss': () => bindparam('a', { expand: true } as never),
    'bindparams of null': () => text('SELECT :a').bindparams(null as never),
    'bindparams of a Map': () => text('SELECT :a').bindparams(new Map([['a', 1]]) as never),
  };

  it.each(Object.keys(wrong))('%s is an ArgumentError', (name) => {
    expect(wrong[name]).toThrow(ArgumentError);
  });

  it('a name of 63 bytes is a name', () => {
    const name = 'é'.repeat(31) + 'e';
    expect(String(sql`${sql.id(name)}`)).toBe(`"${name}"`);
  });
});
