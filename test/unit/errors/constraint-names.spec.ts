import { describe, expect, it } from 'vitest';
import { constraintNames } from '../../../lib/engine/errors/constraint-names.js';

describe('the names that an integrity error is about', () => {
  it.each([
    ['23505', 'duplicate key value violates unique constraint "item_pkey"', { constraint: 'item_pkey' }],
    [
      '23503',
      'insert or update on table "a" violates foreign key constraint "a_b_fkey"',
      { constraint: 'a_b_fkey', table: 'a' },
    ],
    [
      '23503',
      'update or delete on table "b" violates foreign key constraint "a_b_fkey" on table "a"',
      { constraint: 'a_b_fkey', table: 'a' },
    ],
    [
      '23502',
      'null value in column "name" of relation "item" violates not-null constraint',
      { column: 'name', table: 'item' },
    ],
    [
      '23514',
      'new row for relation "item" violates check constraint "odd ""one"""',
      { constraint: 'odd "one"', table: 'item' },
    ],
    [
      '23P01',
      'conflicting key value violates exclusion constraint "no_overlap"',
      { constraint: 'no_overlap' },
    ],
    ['23505', 'doppelter Schlüsselwert verletzt Unique-Constraint „item_pkey“', {}],
    ['42P01', 'relation "item" does not exist', {}],
  ])('%s: %s', (code, message, names) => {
    const found = constraintNames({ code, message });
    expect({ ...found }).toEqual({ constraint: undefined, table: undefined, column: undefined, ...names });
  });

  it('are those of the fields where the server sent them', () => {
    const said = {
      code: '23505',
      message: 'violates unique constraint "other"',
      constraint: 'c',
      table: 't',
    };
    expect(constraintNames(said)).toMatchObject({ constraint: 'c', table: 't' });
  });

  it('have no number of a shard where a worker of Citus said them', () => {
    const message = 'duplicate key value violates unique constraint "item_pkey_102008"';
    const where = 'while executing command on worker1:5432';
    expect(constraintNames({ code: '23505', message, where }).constraint).toBe('item_pkey');
    expect(constraintNames({ code: '23505', message }).constraint).toBe('item_pkey_102008');
  });
});
