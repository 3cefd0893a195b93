import { describe, expect, it } from 'vitest';
import { transactionCommand } from '../../../lib/engine/statement/transaction-command.js';

describe('transactionCommand', () => {
  it.each([
    ['BEGIN', 'begin', true],
    [' start transaction', 'begin', true],
    ['BEGIN ISOLATION LEVEL SERIALIZABLE', 'begin', false],
    ['COMMIT', 'commit', true],
    ['end work;', 'commit', true],
    ['/* app=shop */ COMMIT', 'commit', true],
    ['-- the tag\n/* and /* another */ */ commit -- behind', 'commit', true],
    [';;COMMIT', 'commit', true],
    ['COMMIT AND NO CHAIN', 'commit', true],
    ['COMMIT AND CHAIN', 'commit', false],
    ['ROLLBACK', 'rollback', true],
    ['ABORT TRANSACTION', 'rollback', true],
    ['rollback /* now */ and chain', 'rollback', false],
    ['ROLLBACK TO SAVEPOINT a', 'rollback-to', false],
    ['ROLLBACK WORK TO "b"', 'rollback-to', false],
    ['SAVEPOINT a', 'savepoint', false],
    ['RELEASE a', 'release', false],
    ["PREPARE TRANSACTION 'x'", 'prepared', false],
    ["COMMIT PREPARED 'x'", 'prepared', false],
    ["ROLLBACK PREPARED 'x'", 'prepared', false],
  ])('reads %j as %s', (sql, kind, isPlain) => {
    expect(transactionCommand(sql)).toMatchObject({ kind, isPlain });
  });

  it.each([
    'SELECT 1',
    "'COMMIT'",
    'PREPARE a AS SELECT 1',
    'COMMITTED',
    'begins',
    '',
    '-- COMMIT',
    'DO $$ BEGIN END $$',
  ])('sees no transaction control in %j', (sql) => {
    expect(transactionCommand(sql)).toBeUndefined();
  });

  it.each([
    ['COMMIT AND CHAIN', true],
    ['ROLLBACK WORK AND CHAIN', true],
    ['COMMIT', false],
  ])('knows whether %j begins the next transaction', (sql, chains) => {
    expect(transactionCommand(sql)?.chains).toBe(chains);
  });
});
