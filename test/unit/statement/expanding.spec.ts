import { describe, expect, it } from 'vitest';
import { StatementError } from '../../../lib/engine/errors/errors.js';
import { CompiledCache } from '../../../lib/engine/statement/compiled-cache.js';
import { compileStatement } from '../../../lib/engine/statement/compile.js';
import { bindparam, text } from '../../../lib/engine/statement/text.js';

describe('an expanding bind', () => {
  function expanded(sql: string, parameters: Readonly<Record<string, unknown>>): readonly [string, unknown] {
    const command = compileStatement(text(sql).bindparams(bindparam('ids', { expanding: true })), parameters);
    return [command.text, command.values];
  }

  it.each([
    ['id IN :ids', 'id IN ($1, $2)'],
    ['id in :ids', 'id IN ($1, $2)'],
    ['id IN (:ids)', 'id IN ($1, $2)'],
    ['id NOT IN ( :ids ) AND x', 'id NOT IN ($1, $2) AND x'],
    ['id IN\n(\n:ids\n)', 'id IN ($1, $2)'],
    ['id IN (:ids, 5)', 'id IN (($1, $2), 5)'],
    ['begin(:ids)', 'begin(($1, $2))'],
    ['id = ANY (ARRAY[:ids])', 'id = ANY (ARRAY[($1, $2)])'],
    ['id IN /* in */ :ids', 'id IN /* in */ ($1, $2)'],
    ['f -- not in\n(:ids)', 'f -- not in\n(($1, $2))'],
  ])('writes a list into %s', (sql, sent) => {
    expect(expanded(sql, { ids: [7, null] })).toEqual([sent, [7, null]]);
  });

  it.each([
    ['id IN :ids', "id = ANY ('{}')"],
    ['id IN (:ids)', "id = ANY ('{}')"],
    ['id not in :ids and x', "id <> ALL ('{}') and x"],
    ['(a, b) NOT IN (:ids)', "(a, b) <> ALL ('{}')"],
    ['id IN /* in */ :ids', 'id IN /* in */ (SELECT NULL WHERE FALSE)'],
  ])('writes an empty list into %s so that nothing is in it', (sql, sent) => {
    expect(expanded(sql, { ids: [] })).toEqual([sent, []]);
    expect(expanded(sql, { ids: null })).toEqual([sent, []]);
  });

  it('writes a list of lists as tuples', () => {
    const pairs = [
      [1, 'a'],
      [2, 'b'],
    ];

    expect(expanded('(id, n) IN :ids', { ids: pairs })).toEqual([
      '(id, n) IN (($1, $2), ($3, $4))',
      [1, 'a', 2, 'b'],
    ]);
  });

  it('keeps its numbers when it is used twice, and those of the others', () => {
    expect(expanded(':x, a IN :ids, b IN :ids, :y, :x', { x: 'x', y: 'y', ids: [1, 2] })).toEqual([
      '$1, a IN ($2, $3), b IN ($2, $3), $4, $1',
      ['x', 1, 2, 'y'],
    ]);
  });

  it.each([
    ['a string', 'abc'],
    ['a set', new Set([1])],
    ['lists of different lengths', [[1, 2], [3]]],
    ['empty lists', [[], []]],
    ['lists and values', [[1], 2]],
    ['undefined in it', [1, undefined]],
  ])('refuses %s', (_, ids) => {
    expect(() => expanded('id IN :ids', { ids })).toThrow(StatementError);
  });

  it('leaves a list alone when it is not expanding', () => {
    expect(compileStatement(text('id = ANY(:ids)'), { ids: [1, 2] })).toEqual({
      text: 'id = ANY($1)',
      values: [[1, 2]],
    });
  });

  it('X-21 does not disturb the same SQL without it, in one cache, in either order', () => {
    const cache = new CompiledCache(5);
    const plain = text('id IN :ids');
    const list = plain.bindparams(bindparam('ids', { expanding: true }));
    const texts = [plain, list, plain, list].map(
      (each) => compileStatement(each, { ids: [1, 2] }, cache).text,
    );

    expect(texts).toEqual(['id IN $1', 'id IN ($1, $2)', 'id IN $1', 'id IN ($1, $2)']);
  });
});
