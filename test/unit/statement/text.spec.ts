import { describe, expect, it } from 'vitest';
import { ArgumentError, StatementError } from '../../../lib/engine/errors/errors.js';
import { compileMany, compileStatement } from '../../../lib/engine/statement/compile.js';
import { bindparam, text } from '../../../lib/engine/statement/text.js';

/** Every bind of the text gets its own name as its value. */
function compiled(sql: string): { sql: string; names: unknown } {
  const everyName = new Proxy({}, { get: (_, name) => name });
  const command = compileStatement(text(sql), everyName);
  return { sql: command.text, names: command.values };
}

type Scanned = readonly [sql: string, sent: string, ...names: readonly string[]];

const BINDS: readonly Scanned[] = [
  ['select :a', 'select $1', 'a'],
  ['select :a, :b, :a', 'select $1, $2, $1', 'a', 'b'],
  ['select (:a)::int', 'select ($1)::int', 'a'],
  ['select :a\\:\\:int', 'select $1::int', 'a'],
  ['select f(x=>:a)', 'select f(x=>$1)', 'a'],
  ['select :1a', 'select $1', '1a'],
  ['select :_a', 'select $1', '_a'],
  ['select :größe', 'select $1', 'größe'],
  ['select :a.b', 'select $1.b', 'a'],
  ['select x :a', 'select x $1', 'a'],
  ['select arr[:n]', 'select arr[$1]', 'n'],
  ['select arr[:lo : :hi]', 'select arr[$1 : $2]', 'lo', 'hi'],
  ["select 'x':a", "select 'x'$1", 'a'],
  ["select '', :a, ''''", "select '', $1, ''''", 'a'],
  ["select 'it''s :x', :a", "select 'it''s :x', $1", 'a'],
  ["select E'it\\'s :x', :a", "select E'it\\'s :x', $1", 'a'],
  ["select e'\\\\', :a", "select e'\\\\', $1", 'a'],
  ["select E'a''\\' :x', :a", "select E'a''\\' :x', $1", 'a'],
  ["select 'C:\\', :a", "select 'C:\\', $1", 'a'],
  ["select date'\\', :a", "select date'\\', $1", 'a'],
  ['select "a"":x", :a', 'select "a"":x", $1', 'a'],
  ['select $t$ :x $$ $t$, :a', 'select $t$ :x $$ $t$, $1', 'a'],
  ['select a$b$ || :a', 'select a$b$ || $1', 'a'],
  ['-- :x\nselect :a -- :y', '-- :x\nselect $1 -- :y', 'a'],
  ["-- it's\rselect :a", "-- it's\rselect $1", 'a'],
  ['/* :x /* :y */ :z */ select :a', '/* :x /* :y */ :z */ select $1', 'a'],
  ['select 4 / :a - :b', 'select 4 / $1 - $2', 'a', 'b'],
  ["select data->>'k' || :a", "select data->>'k' || $1", 'a'],
];

const NO_BINDS: readonly (readonly [sql: string, sent?: string])[] = [
  ["select '09:15:30'"],
  ['select x::int'],
  ['select $$:a$$'],
  ['select $t$:a$t$'],
  ["select ':a'"],
  ["select data->>':k'"],
  ['/* :a */ select 1'],
  ['select 1 -- :a'],
  ['select arr[:lo:hi]'],
  ['select arr[1:2]'],
  ['select arr[lo:hi]'],
  ['select a:=1'],
  ['select x:a'],
  ['select :a:b'],
  ['select :a$b'],
  ['select :$x'],
  ['select "c:a"'],
  ['select "c :a"'],
  ['select \'{"k": 1}\''],
  ["select E'\\':a'"],
  ['select ? , $1'],
  ["select 'unterminated :a"],
  ['select "unterminated :a'],
  ['select $$unterminated :a'],
  ['select /* unterminated :a'],
  ['select 100 % 7'],
  ["select '\\:a'", "select ':a'"],
  ['select \\:a', 'select :a'],
  ['select \\\\:a', 'select \\:a'],
  ['select a\\:b', 'select a:b'],
  ["select E'\\\\:a'", "select E'\\:a'"],
];

describe('text', () => {
  it.each(BINDS)('TT-02 appendix D: finds the binds of %s', (sql, sent, ...names) => {
    expect(compiled(sql)).toEqual({ sql: sent, names });
  });

  it.each(NO_BINDS.map(([sql, sent = sql]) => ({ sql, sent })))(
    'TT-06 appendix D: finds no bind in $sql',
    ({ sql, sent }) => {
      expect(compiled(sql)).toEqual({ sql: sent, names: [] });
    },
  );

  it("TT-04 leaves '05:06:07' alone and makes '\\:mindy' ':mindy'", () => {
    expect(compiled("select '05:06:07', '\\:mindy'")).toEqual({
      sql: "select '05:06:07', ':mindy'",
      names: [],
    });
  });

  it('TT-06 leaves foo::regclass alone', () => {
    expect(compiled('select foo::regclass')).toEqual({ sql: 'select foo::regclass', names: [] });
  });

  it('TT-08 sends % as it is', () => {
    expect(compiled("select '%foo%' like :a").sql).toBe("select '%foo%' like $1");
  });

  it.each([
    ['select :x::int', 'select $1::int'],
    ['select :x ::int', 'select $1 ::int'],
    ['select CAST(:x AS int)', 'select CAST($1 AS int)'],
    ['select :x::int[]', 'select $1::int[]'],
  ])('X-18 binds and casts in %s, which SQLAlchemy does not for :x::int', (sql, sent) => {
    expect(compiled(sql)).toEqual({ sql: sent, names: ['x'] });
  });

  it('X-19 finds no bind in a JSON literal, where SQLAlchemy does', () => {
    expect(compiled('select \'{"a":1}\'::jsonb').names).toEqual([]);
  });

  it('reads half a megabyte of quotes in one go', () => {
    const sql = `select ${"'a''b' || ".repeat(50_000)} :a`;

    expect(compiled(sql).names).toEqual(['a']);
  });

  it('shows its :name form with escapes resolved', () => {
    expect(String(text("select :a, \\:b, :a, ':c'"))).toBe("select :a, :b, :a, ':c'");
  });

  it.each([[undefined], [null], [5], [['select 1']]])('refuses %o, which is no string', (value) => {
    expect(() => text(value as unknown as string)).toThrow(ArgumentError);
  });
});

describe('values of a text', () => {
  it.each([
    ['null', null],
    ['zero', 0],
    ['an empty string', ''],
    ['false', false],
    ['a list', [1, 2]],
  ])('may be %s', (_, value) => {
    expect(compileStatement(text('select :a'), { a: value }).values).toEqual([value]);
  });

  it('may come from getters of a class', () => {
    class Form {
      get name(): string {
        return 'ada';
      }
    }

    expect(compileStatement(text('select :name'), new Form() as unknown as { name: string }).values).toEqual([
      'ada',
    ]);
  });

  it('are ignored when the text has no such bind', () => {
    expect(compileStatement(text('select :a'), { a: 1, b: 2 }).values).toEqual([1]);
  });

  it.each([
    ['is not given', {}],
    ['is undefined', { missing: undefined }],
  ])('EX-04 X-16 refuses a bind that %s and names it', (_, parameters) => {
    const compile = (): unknown =>
      compileStatement(text('select :here, :missing'), { here: 1, ...parameters });

    expect(compile).toThrow(StatementError);
    expect(compile).toThrow(/':missing'[^]*SQL: select \$1, \$2/);
  });

  it.each(['constructor', 'toString', '__proto__', 'hasOwnProperty'])(
    'does not take what every object inherits for the bind :%s',
    (name) => {
      expect(() => compileStatement(text(`select :${name}`), {})).toThrow(StatementError);
    },
  );

  it.each([[[1]], ['a'], [5], [null], [new Map([['a', 1]])], [new Set([1])], [true]])(
    'refuses %o as the parameters',
    (parameters) => {
      expect(() => compileStatement(text('select :a'), parameters as never)).toThrow(ArgumentError);
    },
  );

  it('X-17 names the parameter set of an executemany, except for the first', () => {
    const statement = text('insert into t values (:v)');

    expect(() => compileMany(statement, [{ v: 1 }, {}])).toThrow(/':v'.* set 1/);
    expect(() => compileMany(statement, [{}, { v: 1 }])).toThrow(/':v' has no value\./);
  });

  it('are compiled for each set of an executemany', () => {
    const compiled = compileMany(text('select :v, :w'), [
      { v: 1, w: 'a' },
      { v: [2], w: 'b' },
      { v: 3, w: 'c' },
    ]);
    const commands = [
      { text: 'select $1, $2', values: [1, 'a'] },
      { text: 'select $1, $2', values: [[2], 'b'] },
      { text: 'select $1, $2', values: [3, 'c'] },
    ];
    expect([...compiled]).toEqual(commands);
    expect([compiled.slice(1), compiled.slice(0, 2), compiled.slice(2, 9)]).toEqual([
      commands.slice(1),
      commands.slice(0, 2),
      commands.slice(2),
    ]);
  });

  it('are refused when there are more than the protocol can count', () => {
    const statement = text('select 1 in :ids').bindparams(bindparam('ids', { expanding: true }));

    expect(compileStatement(statement, { ids: Array(65_535).fill(1) }).values).toHaveLength(65_535);
    expect(() => compileStatement(statement, { ids: Array(65_536).fill(1) })).toThrow(StatementError);
  });
});

describe('bindparams', () => {
  const statement = text('select :a, :b');

  it('TT-03 refuses a name that the text does not have', () => {
    expect(() => statement.bindparams({ c: 1 })).toThrow(/':c'.*:a, :b/);
    expect(() => statement.bindparams(bindparam('c'))).toThrow(ArgumentError);
  });

  it('TT-07 gives defaults that the execution replaces', () => {
    const withDefaults = statement.bindparams({ a: null }, bindparam('b', { value: 2 }));

    expect(compileStatement(withDefaults).values).toEqual([null, 2]);
    expect(compileStatement(withDefaults, { a: 5, b: null }).values).toEqual([5, null]);
  });

  it('makes a new text and leaves the old one as it was', () => {
    const withDefaults = statement.bindparams({ a: 1, b: 2 });

    expect(withDefaults).not.toBe(statement);
    expect(() => compileStatement(statement)).toThrow(StatementError);
  });

  it('adds up over several calls', () => {
    expect(compileStatement(statement.bindparams({ a: 1 }).bindparams({ b: 2 })).values).toEqual([1, 2]);
  });

  it('keeps a bind expanding when it is given a value', () => {
    const list = text('select 1 in :ids')
      .bindparams(bindparam('ids', { expanding: true }))
      .bindparams({ ids: [1] });

    expect(compileStatement(list).text).toBe('select 1 IN ($1)');
  });

  it.each(['', ':a', 'a b', 'a-b'])('refuses the name %o', (name) => {
    expect(() => bindparam(name)).toThrow(ArgumentError);
  });
});
