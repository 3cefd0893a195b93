import { DBAPIError, EngineError } from './errors.js';
import type { DBAPIErrorOptions } from './errors.js';
import {
  CheckViolationError,
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
  ReadOnlyTransactionError,
  SerializationFailureError,
  UniqueViolationError,
} from './server-errors.js';
import { constraintNames } from './constraint-names.js';

type DBAPIErrorClass = typeof DBAPIError;

/** An error that the server sent, as its driver throws it. */
interface ServerError extends Error {
  readonly severity: string;
  readonly code: string;
}

const BY_STATE: Readonly<Record<string, DBAPIErrorClass>> = {
  '25006': ReadOnlyTransactionError,
  '23502': NotNullViolationError,
  '23503': ForeignKeyViolationError,
  '23505': UniqueViolationError,
  '23514': CheckViolationError,
  '23P01': ExclusionViolationError,
  '40001': SerializationFailureError,
  '40P01': DeadlockDetectedError,
  '55P03': LockNotAvailableError,
  '57014': QueryCanceledError,
  // Aurora DSQL: rows, or the schema, were changed by another transaction.
  OC000: SerializationFailureError,
  OC001: SerializationFailureError,
};

// The map of psycopg 3, SQLAlchemy's default driver for PostgreSQL.
const BY_CLASS: readonly (readonly [DBAPIErrorClass, readonly string[]])[] = [
  [
    OperationalError,
    ['08', '27', '28', '2F', '38', '39', '3B', '40', '53', '54', '55', '57', '58', 'F0', 'HV'],
  ],
  [ProgrammingError, ['10', '20', '21', '26', '34', '3D', '3F', '42', '44', 'P0']],
  [InternalError, ['24', '25', '2B', '2D', 'XX']],
  [DataError, ['22']],
  [IntegrityError, ['23']],
  [NotSupportedError, ['0A']],
];

// Whole families by their first letter: FDW and configuration, PL/pgSQL's RAISE, internal.
const BY_LETTER: Readonly<Record<string, DBAPIErrorClass>> = {
  F: OperationalError,
  H: OperationalError,
  P: ProgrammingError,
  X: InternalError,
};

/** The error class for a five-character SQLSTATE; `DatabaseError` for one that no table lists. */
export function errorClassOf(sqlState: string | undefined): DBAPIErrorClass {
  if (sqlState === undefined) return DatabaseError;
  const family = BY_CLASS.find(([, names]) => names.includes(sqlState.slice(0, 2)))?.[0];
  return BY_STATE[sqlState] ?? family ?? BY_LETTER[sqlState.charAt(0)] ?? DatabaseError;
}

/** The only place that looks inside a foreign error for its SQLSTATE. */
export function sqlStateOf(error: unknown): string | undefined {
  if (error instanceof DBAPIError) return error.sqlState;
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' && /^[0-9A-Z]{5}$/.test(error.code) ? error.code : undefined;
}

/** An error that a driver made of the server's message, in our own class; undefined for any other error. */
export function serverErrorOf(
  error: unknown,
  statement: string,
  parameters: unknown,
): DBAPIError | undefined {
  if (!isServerError(error)) return undefined;
  const type = errorClassOf(error.code);
  const { schema, detail, hint } = error as ServerError & DBAPIErrorOptions;
  const facts = { ...constraintNames(error), schema, detail, hint };
  return new type(error.message, { ...facts, sqlState: error.code, cause: error, statement, parameters });
}

function isServerError(error: unknown): error is ServerError {
  if (!(error instanceof Error) || error instanceof EngineError || !('severity' in error)) return false;
  return sqlStateOf(error) !== undefined;
}

const OUTCOME_UNKNOWN = new Set(['08007', '40003']);

/** True: the server answers COMMIT with it where it can't tell how that ended. */
export function leavesOutcomeUnknown(sqlState: string | undefined): boolean {
  return sqlState !== undefined && OUTCOME_UNKNOWN.has(sqlState);
}
