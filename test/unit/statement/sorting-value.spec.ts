import { describe, expect, it } from 'vitest';
import { sql, StatementError, text } from 'nest-async-engine/engine';
import { compileStatement } from '../../../lib/engine/statement/compile.js';

const written = (statement: Parameters<typeof compileStatement>[0], values?: Record<string, unknown>) =>
  compileStatement(statement, values).text;

describe('a value to sort by is refused', () => {
  it.each([
    ['alone', sql`SELECT * FROM t ORDER BY ${'name'}`],
    ['with a direction', sql`SELECT * FROM t order by ${'name'} desc`],
    ['in front of LIMIT', sql`SELECT * FROM t ORDER BY ${'name'} LIMIT ${5}`],
    ['behind names', sql`SELECT * FROM t ORDER BY a DESC, "t"."b", ${'name'}, c`],
    ['in a window', sql`SELECT rank() OVER (ORDER BY ${'name'}) FROM t`],
    ['in a fragment', sql`SELECT * FROM t ${sql`ORDER BY ${'name'}`}`],
  ])('%s', (_, statement) => {
    expect(() => written(statement)).toThrow(StatementError);
    expect(() => written(statement)).toThrow(/ORDER BY \$1 sorts by a value.*sql\.id\(\)/);
  });

  it('by its name in a text', () => {
    const statement = text("SELECT ':a', :b::int FROM t ORDER BY name, :sort DESC");
    expect(() => written(statement, { b: 1, sort: 'name' })).toThrow(/ORDER BY \$2 sorts by a value/);
  });
});

describe('a value is taken', () => {
  it.each([
    ['in an expression', sql`SELECT * FROM t ORDER BY ${'[1,2]'}::vector <-> place LIMIT ${5}`],
    ['in a function', sql`SELECT * FROM t ORDER BY array_position(${['a']}::text[], name), id`],
    ['behind the sort', sql`SELECT * FROM t ORDER BY ${sql.id('name')} LIMIT ${5} OFFSET ${1}`],
    ['in a CASE', sql`SELECT * FROM t ORDER BY CASE WHEN name = ${'a'} THEN ${0} ELSE ${1} END`],
  ])('%s', (_, statement) => {
    expect(written(statement)).toContain('ORDER BY');
  });

  it('beside a literal that looks the same', () => {
    expect(written(text("SELECT 'x ORDER BY $1', :a::int"), { a: 1 })).toBe(
      "SELECT 'x ORDER BY $1', $1::int",
    );
    expect(written(sql`SELECT $$ ORDER BY $1 $$, ${1}::int`)).toBe('SELECT $$ ORDER BY $1 $$, $1::int');
  });
});
