import { describe, expect, it } from 'vitest';
import { sql, text } from 'nest-async-engine/engine';
import { compileStatement } from '../../../lib/engine/statement/compile.js';
import { InsertMany } from '../../../lib/engine/statement/insert-many.js';
import { isPlainRead } from '../../../lib/engine/statement/plain-read.js';
import { splitScript } from '../../../lib/engine/statement/split-script.js';
import { transactionCommand } from '../../../lib/engine/statement/transaction-command.js';

/** Quadratic work on so many characters would take minutes. */
const LENGTH = 400_000;

const TEXTS: readonly (readonly [string, string])[] = [
  ['a long word', `SELECT 1 AS ${'a'.repeat(LENGTH)}`],
  ['a long bind', `SELECT :${'a'.repeat(LENGTH)}$`],
  ['many colons', `SELECT ${':a$'.repeat(LENGTH / 3)}`],
  ['many words IN', `SELECT ${'in '.repeat(LENGTH / 3)}:a`],
  ['blanks behind IN', `SELECT x in ${' '.repeat(LENGTH)}x`],
  ['blanks behind INSERT', `INSERT INTO t${' '.repeat(LENGTH)}x`],
  ['blanks that PostgreSQL takes for names', `INSERT INTO t${'\u00A0'.repeat(LENGTH)}x`],
  ['blanks behind VALUES', `INSERT INTO t VALUES ($1${' '.repeat(LENGTH)}x`],
  ['many quoted names', `INSERT INTO ${'"a""b"'.repeat(LENGTH / 6)} x`],
  ['many dollars', `SELECT ${'$a'.repeat(LENGTH / 2)}`],
  ['many quotes', `SELECT ${"''".repeat(LENGTH / 2)}`],
  ['open comments', `${'/*'.repeat(LENGTH / 2)}`],
  ['many END', `CREATE ${'x'.repeat(100)} ${'END '.repeat(LENGTH / 4)}`],
  ['many FOR', `SELECT ${'for '.repeat(LENGTH / 4)}`],
  ['names to sort by', `SELECT 1 ORDER BY ${'a, '.repeat(LENGTH / 3)}b`],
  ['blanks to sort by', `SELECT 1 ORDER BY a${' '.repeat(LENGTH)}b`],
  ['many ORDER BY', `SELECT ${'order by a, '.repeat(LENGTH / 12)}b`],
  ['many semicolons', ';'.repeat(LENGTH)],
  ['brackets', `SELECT ${'('.repeat(LENGTH)}`],
];

describe('looking at a statement takes time in proportion to its length', () => {
  it.each(TEXTS)('%s', (_, long) => {
    const clause = text(long);
    const parameters = Object.fromEntries(clause.template.names.map((name) => [name, 1]));
    expect(compileStatement(clause, parameters).text.length).toBeGreaterThan(0);
    expect(compileStatement(clause.bindparams(parameters)).values.length).toBe(clause.template.names.length);
    InsertMany.of(long);
    isPlainRead(long);
    splitScript(long);
    transactionCommand(long);
  });
});

describe('fragments inside each other', () => {
  it('are written in order, 50,000 deep', () => {
    let condition = sql`1 = ${0}`;
    for (let depth = 1; depth < 50_000; depth += 1) condition = sql`${condition} AND 1 = ${depth}`;
    const { text: written, values } = compileStatement(sql`SELECT 1 WHERE ${condition}`);
    expect(written.slice(0, 45)).toBe('SELECT 1 WHERE 1 = $1 AND 1 = $2 AND 1 = $3 A');
    expect(values).toEqual(Array.from({ length: 50_000 }, (_, index) => index));
  });

  it('of a compiled query are looked through for schemas, 50,000 deep and in a circle', () => {
    let node: Record<string, unknown> = { kind: 'RawNode' };
    const circle = node;
    for (let depth = 0; depth < 50_000; depth += 1) node = { kind: 'ParensNode', node };
    circle['node'] = node;
    const query = { query: node, sql: 'SELECT 1', parameters: [] };
    expect(compileStatement(query, undefined, undefined, { a: 'b' }).text).toBe('SELECT 1');
  });
});
