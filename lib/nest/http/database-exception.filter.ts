import { Catch, HttpException, HttpStatus } from '@nestjs/common';
import type { ArgumentsHost } from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import {
  CheckViolationError,
  ConnectionLostError,
  DeadlockDetectedError,
  EngineError,
  ExclusionViolationError,
  ForeignKeyViolationError,
  LockNotAvailableError,
  NoResultFoundError,
  NotNullViolationError,
  PoolTimeoutError,
  SerializationFailureError,
  UniqueViolationError,
} from '../../engine/index.js';

type ErrorClass = abstract new (...args: never[]) => EngineError;

const ANSWERS: readonly (readonly [HttpStatus, string, readonly ErrorClass[]])[] = [
  [HttpStatus.NOT_FOUND, 'Not Found', [NoResultFoundError]],
  [
    HttpStatus.CONFLICT,
    'Conflict',
    [UniqueViolationError, ForeignKeyViolationError, ExclusionViolationError],
  ],
  [HttpStatus.UNPROCESSABLE_ENTITY, 'Unprocessable Entity', [NotNullViolationError, CheckViolationError]],
  [
    HttpStatus.SERVICE_UNAVAILABLE,
    'Service Unavailable',
    [
      PoolTimeoutError,
      SerializationFailureError,
      DeadlockDetectedError,
      LockNotAvailableError,
      ConnectionLostError,
    ],
  ],
];

/**
 * Answers errors of the database that a client can do something about: 404 where a row was required, 409 for
 * unique and foreign keys, 422 for NOT NULL and CHECK, 503 where another attempt may succeed. The body has
 * the error's `code` and nothing of the statement; every other error stays a 500. Outside of HTTP it is
 * thrown on as an `HttpException`.
 */
@Catch(EngineError)
export class DatabaseExceptionFilter extends BaseExceptionFilter<EngineError> {
  /** Answers `error`, or leaves it to Nest. */
  override catch(error: EngineError, host: ArgumentsHost): void {
    const answer = answerTo(error);
    if (answer !== undefined && host.getType() !== 'http') throw answer;
    super.catch((answer ?? error) as EngineError, host);
  }
}

function answerTo(error: EngineError): HttpException | undefined {
  const found = ANSWERS.find(([, , classes]) => classes.some((type) => error instanceof type));
  if (found === undefined) return undefined;
  const [statusCode, message] = found;
  return new HttpException({ statusCode, message, code: error.code }, statusCode, { cause: error });
}
