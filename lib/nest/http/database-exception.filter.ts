import { Catch, HttpException, HttpStatus, Logger } from '@nestjs/common';
import type { ArgumentsHost, HttpServer } from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import {
  CheckViolationError,
  EngineError,
  ExclusionViolationError,
  ForeignKeyViolationError,
  NoResultFoundError,
  NotNullViolationError,
  UniqueViolationError,
} from '../../engine/index.js';
import { mayTryAgain } from './another-attempt.js';
import { PLAIN_RESPONSE } from './plain-response.js';

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

/** Seconds; longer than a transaction in the way, short for a server that was restarted. */
const RETRY_AFTER = '1';

/**
 * Answers errors of the database that a client can do something about: 404 where a row was required, 409 for
 * unique and foreign keys, 422 for NOT NULL and CHECK, 503 with `Retry-After` where another attempt may
 * succeed (no connection, a limit of time, another transaction in the way). The body has the error's `code`
 * and nothing of the statement; every other error stays a 500. Works as `APP_FILTER`, in `@UseFilters()` and
 * by `new`. Outside of HTTP it is thrown on as an `HttpException`.
 *
 * @example
 * ```ts
 * app.useGlobalFilters(new DatabaseExceptionFilter());
 * ```
 */
@Catch(EngineError)
export class DatabaseExceptionFilter extends BaseExceptionFilter<EngineError> {
  private readonly log = new Logger(DatabaseExceptionFilter.name);

  /** Answers `error`, or leaves it to Nest. */
  override catch(error: EngineError, host: ArgumentsHost): void {
    const answer = answerTo(error);
    if (answer !== undefined && host.getType() !== 'http') throw answer;
    const adapter = this.applicationRef ?? this.httpAdapterHost?.httpAdapter ?? PLAIN_RESPONSE;
    if (answer?.getStatus() === (HttpStatus.SERVICE_UNAVAILABLE as number)) {
      // The client is told to come back, and the log why.
      this.log.warn(`${error.name}: ${error.message}`);
      this.retryLater(adapter, host);
    }
    if (adapter === PLAIN_RESPONSE) new BaseExceptionFilter(adapter).catch(answer ?? error, host);
    else super.catch((answer ?? error) as EngineError, host);
  }

  private retryLater(adapter: HttpServer, host: ArgumentsHost): void {
    const response: unknown = host.getArgByIndex(1);
    if (!adapter.isHeadersSent(response)) adapter.setHeader(response, 'Retry-After', RETRY_AFTER);
  }
}

function answerTo(error: EngineError): HttpException | undefined {
  const answer = (status: HttpStatus, message: string) =>
    new HttpException({ statusCode: status, message, code: error.code }, status, { cause: error });
  if (mayTryAgain(error)) return answer(HttpStatus.SERVICE_UNAVAILABLE, 'Service Unavailable');
  const found = ANSWERS.find(([, , classes]) => classes.some((type) => error instanceof type));
  return found && answer(found[0], found[1]);
}
