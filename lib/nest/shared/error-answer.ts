import { HttpStatus } from '@nestjs/common';
import {
  CheckViolationError,
  ExclusionViolationError,
  ForeignKeyViolationError,
  NoResultFoundError,
  NotNullViolationError,
  UniqueViolationError,
} from '../../engine/index.js';
import type { EngineError } from '../../engine/index.js';
import { mayTryAgain } from './another-attempt.js';

/** What a client is told of an error: nothing of the statement. */
export interface ErrorAnswer {
  readonly statusCode: number;
  readonly message: string;
  readonly code?: string | undefined;
}

type ErrorClass = abstract new (...args: never[]) => EngineError;

const ANSWERS: readonly (readonly [HttpStatus, string, readonly ErrorClass[]])[] = [
  [HttpStatus.NOT_FOUND, 'Not Found', [NoResultFoundError]],
  [
    HttpStatus.CONFLICT,
    'Conflict',
    [UniqueViolationError, ForeignKeyViolationError, ExclusionViolationError],
  ],
  [HttpStatus.UNPROCESSABLE_ENTITY, 'Unprocessable Entity', [NotNullViolationError, CheckViolationError]],
];

/** What Nest says of an error that is not for the client. */
export const UNKNOWN: ErrorAnswer = {
  statusCode: HttpStatus.INTERNAL_SERVER_ERROR,
  message: 'Internal server error',
};

/** What a client is told that can do something about `error`; undefined where none can. */
export function errorAnswerOf(error: EngineError): ErrorAnswer | undefined {
  const { code } = error;
  if (mayTryAgain(error)) {
    return { statusCode: HttpStatus.SERVICE_UNAVAILABLE, message: 'Service Unavailable', code };
  }
  const found = ANSWERS.find(([, , classes]) => classes.some((type) => error instanceof type));
  return found && { statusCode: found[0], message: found[1], code };
}

/** True: a client has asked for what can't be, which is not a failure of the application. */
export function isForClient(error: EngineError): boolean {
  const { statusCode } = errorAnswerOf(error) ?? UNKNOWN;
  return statusCode < (HttpStatus.INTERNAL_SERVER_ERROR as number);
}
