import { describe, expect, it } from 'vitest';
import { DBAPIError } from '../../../lib/engine/errors/errors.js';
import {
  CheckViolationError,
  ConnectionLostError,
  DatabaseError,
  DataError,
  DeadlockDetectedError,
  ExclusionViolationError,
  ForeignKeyViolationError,
  IntegrityError,
  InternalError,
  LockNotAvailableError,
  NotNullViolationError,
  NotSupportedError,
  OperationalError,
  ProgrammingError,
  QueryCanceledError,
  SerializationFailureError,
  UniqueViolationError,
} from '../../../lib/engine/errors/server-errors.js';
import { errorClassOf, sqlStateOf } from '../../../lib/engine/errors/sqlstate.js';

// Every class of the manual's appendix A, with the exception that psycopg 3 raises for it.
const CLASSES: readonly (readonly [classes: string, expected: typeof DBAPIError])[] = [
  ['00 01 02 03 09 0B 0F 0L 0P 0Z 72', DatabaseError],
  ['0A', NotSupportedError],
  ['10 20 21 26 34 3D 3F 42 44 P0', ProgrammingError],
  ['22', DataError],
  ['23', IntegrityError],
  ['24 25 2B 2D XX', InternalError],
  ['08 27 28 2F 38 39 3B 40 53 54 55 57 58 F0 HV', OperationalError],
];

const NARROWER: readonly (readonly [sqlState: string, expected: typeof DBAPIError])[] = [
  ['23502', NotNullViolationError],
  ['23503', ForeignKeyViolationError],
  ['23505', UniqueViolationError],
  ['23514', CheckViolationError],
  ['23P01', ExclusionViolationError],
  ['40001', SerializationFailureError],
  ['40P01', DeadlockDetectedError],
  ['55P03', LockNotAvailableError],
  ['57014', QueryCanceledError],
];

describe('errorClassOf', () => {
  const rows = CLASSES.flatMap(([classes, expected]) =>
    classes.split(' ').map((name) => ({ name, expected, called: expected.name })),
  );

  it.each(rows)('answers $called for class $name', ({ name, expected }) => {
    expect(errorClassOf(`${name}000`)).toBe(expected);
  });

  it.each(rows)('answers $called for a state of class $name that no manual lists', ({ name, expected }) => {
    expect(errorClassOf(`${name}Z9Z`)).toBe(expected);
  });

  it.each(NARROWER)('answers a class of its own for %s', (sqlState, expected) => {
    expect(errorClassOf(sqlState)).toBe(expected);
  });

  it.each(NARROWER)('keeps %s below the exception of its SQLSTATE class', (sqlState, expected) => {
    expect(expected.prototype).toBeInstanceOf(errorClassOf(`${sqlState.slice(0, 2)}000`));
  });

  it.each(['ZZ000', '99999', '', '2'])('answers DatabaseError for %j, which no table lists', (sqlState) => {
    expect(errorClassOf(sqlState)).toBe(DatabaseError);
  });

  it('answers DatabaseError when the server gave no state', () => {
    expect(errorClassOf(undefined)).toBe(DatabaseError);
  });

  // A state is a word that any function may raise; a lost connection is a fact of the socket.
  it.each(['57P01', '57P02', '57P03', '08000', '08003', '08006'])(
    'takes no connection for lost by %s alone',
    (sqlState) => {
      expect(errorClassOf(sqlState)).not.toBe(ConnectionLostError);
    },
  );
});

describe('sqlStateOf', () => {
  it('reads the state of an error of ours', () => {
    expect(sqlStateOf(new DBAPIError('refused', { sqlState: '23505' }))).toBe('23505');
  });

  it('reads the code of a foreign error', () => {
    expect(sqlStateOf({ code: '40P01' })).toBe('40P01');
  });

  it.each([[{ code: 'ECONNRESET' }], [{ code: 42601 }], [{}], [null], [undefined], ['23505']])(
    'finds none in %j',
    (error) => {
      expect(sqlStateOf(error)).toBeUndefined();
    },
  );
});
