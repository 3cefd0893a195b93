import { describe, expect, it } from 'vitest';
import { modesIn, nameIn } from '../../../lib/pg/control-text.js';

describe('a statement of transaction control', () => {
  it.each([
    ['SAVEPOINT "a--b"', 'a--b'],
    ['SAVEPOINT "a/*b*/c"', 'a/*b*/c'],
    ['ROLLBACK /* to */ TO -- there\n SAVEPOINT A', 'a'],
    ['RELEASE /* a /* b */ SAVEPOINT c */ SAVEPOINT d', 'd'],
  ])('%s names the savepoint %s', (sql, name) => {
    expect(nameIn(sql)).toBe(name);
  });

  it('takes no mode from a comment, also where that holds another', () => {
    expect(modesIn('BEGIN /* /* */ ISOLATION LEVEL SERIALIZABLE */ READ ONLY -- DEFERRABLE')).toEqual({
      readOnly: true,
    });
  });
});
