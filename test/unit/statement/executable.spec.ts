import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  ObjectNotExecutableError,
  StatementError,
} from '../../../lib/engine/errors/errors.js';
import { compileMany, compileStatement } from '../../../lib/engine/statement/compile.js';
import { CompiledCache } from '../../../lib/engine/statement/compiled-cache.js';
import { cachedSince, type Executable } from '../../../lib/engine/statement/executable.js';
import { sql } from '../../../lib/engine/statement/sql.js';
import { text } from '../../../lib/engine/statement/text.js';
import { namelessTemplate } from '../../../lib/engine/statement/text-scanner.js';

class TemplateTag {
  get text(): string {
    return 'SELECT $1';
  }
  readonly values = [1];
}

const kysely = { compile: () => ({ sql: 'SELECT $1', parameters: [1], query: {} }) };
const drizzle = { toSQL: () => ({ sql: 'SELECT $1', params: [1], typings: [] }) };

const EXECUTABLES: readonly (readonly [string, Executable<unknown>])[] = [
  ['sql``', sql`SELECT ${1}`],
  ['a Kysely query', kysely],
  ['a Drizzle query', drizzle],
  ['a pg query config', { text: 'SELECT $1', values: [1], name: 'x' }],
  ['a sql-template-tag value', new TemplateTag()],
];

const NOT_EXECUTABLE: readonly (readonly [string, unknown])[] = [
  ['a string', 'SELECT 1'],
  ['undefined', undefined],
  ['null', null],
  ['a number', 5],
  ['a function', () => 'SELECT 1'],
  ['a list', [text('SELECT 1')]],
  ['a plain object', { sql: 'SELECT 1' }],
  ['an object without a class', Object.create(null)],
  ['an object of a class', new Map()],
];

describe('compileStatement', () => {
  it.each(EXECUTABLES)('takes %s', (_, executable) => {
    expect(compileStatement(executable)).toEqual({ text: 'SELECT $1', values: [1] });
  });

  it('takes a pg query config without values', () => {
    expect(compileStatement({ text: 'SELECT 1' })).toEqual({ text: 'SELECT 1', values: [] });
  });

  it.each(EXECUTABLES)('refuses parameters for %s, whose values are in it', (_, executable) => {
    expect(() => compileStatement(executable, { a: 1 })).toThrow(ArgumentError);
    expect(() => compileMany(executable, [{ a: 1 }])).toThrow(ArgumentError);
  });

  it.each(NOT_EXECUTABLE)('EX-01 EX-03 refuses %s', (_, value) => {
    const compile = (): unknown => compileStatement(value as Executable);

    expect(compile).toThrow(ObjectNotExecutableError);
    expect(compile).toThrow('wrap it in text() or sql``');
  });

  it('EX-01 shows the string that was given', () => {
    expect(() => compileStatement('SELECT 1' as unknown as Executable)).toThrow("'SELECT 1'");
  });

  it('does not show what is in an object', () => {
    const compile = (): unknown => compileStatement({ sql: 's3cret' } as unknown as Executable);

    expect(compile).toThrow(expect.objectContaining({ message: expect.not.stringContaining('s3cret') }));
  });

  it.each([
    ['compile() that gives a promise', { compile: () => Promise.resolve() }],
    ['a Knex query', { toSQL: () => ({ sql: 'SELECT ?', bindings: [1] }) }],
    ['values that are no list', { text: 'SELECT $1', values: { a: 1 } }],
  ])('refuses %s', (_, value) => {
    expect(() => compileStatement(value as unknown as Executable)).toThrow(ObjectNotExecutableError);
  });

  it('refuses more values than the protocol can count', () => {
    expect(() => compileStatement({ text: 'SELECT 1', values: Array(65_536).fill(1) })).toThrow(
      StatementError,
    );
  });
});

describe('the compiled cache', () => {
  const template = namelessTemplate({ text: '', values: [], control: undefined });

  function keysIn(cache: CompiledCache, ...keys: readonly string[]): string[] {
    return keys.filter((key) => cache.peek(key) !== undefined);
  }

  it('scans a text once, whoever writes it', () => {
    const cache = new CompiledCache(5);
    compileStatement(text('SELECT :a'), { a: 1 }, cache);
    const second = text('SELECT :a');
    const template = cache.get('SELECT :a');
    compileStatement(second, { a: 2 }, cache);

    expect(cache.get('SELECT :a')).toBe(template);
    expect(cache.size).toBe(1);
  });

  it('drops what was not used for the longest time', () => {
    const cache = new CompiledCache(3);
    for (const key of ['a', 'b', 'c']) cache.set(key, template);
    cache.get('a');
    cache.get('b');
    cache.set('d', template);

    expect(keysIn(cache, 'a', 'b', 'c', 'd')).toEqual(['a', 'b', 'd']);
  });

  it('counts setting a key again as a use, and once', () => {
    const cache = new CompiledCache(2);
    for (const key of ['a', 'b', 'a', 'c']) cache.set(key, template);

    expect([cache.size, keysIn(cache, 'a', 'b', 'c')]).toEqual([2, ['a', 'c']]);
  });

  it('does not count peek as a use', () => {
    const cache = new CompiledCache(2);
    cache.set('a', template);
    cache.set('b', template);
    cache.peek('a');
    cache.set('c', template);

    expect(keysIn(cache, 'a', 'b', 'c')).toEqual(['b', 'c']);
  });

  it.each([1, 2, 7])('never holds more than its limit of %i and always the last ones used', (limit) => {
    const cache = new CompiledCache(limit);
    let used: string[] = [];
    for (let step = 0; step < 500; step += 1) {
      const key = String((step * step) % 11);
      if (cache.get(key) === undefined) cache.set(key, template);
      used = [...used.filter((each) => each !== key), key].slice(-limit);
      expect(keysIn(cache, ...used)).toEqual(used);
      expect(cache.size).toBe(used.length);
    }
  });

  it('keeps nothing when its limit is 0', () => {
    const cache = new CompiledCache(0);

    expect(compileStatement(text('SELECT :a'), { a: 1 }, cache)).toEqual({ text: 'SELECT $1', values: [1] });
    expect(cache.size).toBe(0);
  });

  it('is empty after clear and works on', () => {
    const cache = new CompiledCache(2);
    for (const key of ['a', 'b']) cache.set(key, template);
    cache.clear();
    const cleared = cache.size;
    for (const key of ['c', 'd', 'e']) cache.set(key, template);

    expect([cleared, keysIn(cache, 'a', 'b', 'c', 'd', 'e')]).toEqual([0, ['d', 'e']]);
  });

  it.each([-1, 1.5, Number.NaN, '5'])('refuses the limit %o', (limit) => {
    expect(() => new CompiledCache(limit as number)).toThrow(ArgumentError);
  });

  it('says since when a statement is in it', () => {
    const cache = new CompiledCache(5);
    const statements = [text('SELECT :a').bindparams({ a: 1 }), sql`SELECT ${1}`];
    const before = statements.map((statement) => cachedSince(statement, cache));
    for (const statement of statements) compileStatement(statement, undefined, cache);
    const after = statements.map((statement) => cachedSince(statement, cache));

    expect(before).toEqual([undefined, undefined]);
    expect(after).toEqual([expect.any(Number), expect.any(Number)]);
  });

  it('does not hold what changes from one execution to the next', () => {
    const cache = new CompiledCache(5);
    for (const statement of [kysely, drizzle, sql`SELECT ${sql.id('a')}`])
      compileStatement(statement, undefined, cache);

    expect(cache.size).toBe(0);
  });
});
