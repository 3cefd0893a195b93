import { Catch, HttpException, HttpStatus, Logger } from '@nestjs/common';
import type { ArgumentsHost, HttpServer } from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import type { Observable } from 'rxjs';
import { EngineError } from '../../engine/index.js';
import { errorAnswerOf, UNKNOWN, type ErrorAnswer } from '../shared/error-answer.js';
import { answerOutsideHttp } from './message-answer.js';
import { PLAIN_RESPONSE } from './plain-response.js';
import { printable } from '../../engine/util/logger.js';

/** Seconds; longer than a transaction in the way, short for a server that was restarted. */
const RETRY_AFTER = '1';

/**
 * Answers errors of the database that a client can do something about: 404 where a row was required, 409 for
 * unique and foreign keys, 422 for NOT NULL and CHECK, 503 with `Retry-After` where another attempt may
 * succeed (no connection, a limit of time, another transaction in the way). The body has the error's `code`
 * and nothing of the statement; every other error stays a 500. Works as `APP_FILTER`, in `@UseFilters()` and
 * by `new`. The client of a message gets the same in the way of its transport, that of a socket by the event
 * `exception`, that of a GraphQL operation among its errors.
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
  override catch(error: EngineError, host: ArgumentsHost): Observable<never> | undefined {
    const answer = errorAnswerOf(error);
    // The client is told to come back, and the log why.
    if (answer?.statusCode === (HttpStatus.SERVICE_UNAVAILABLE as number)) {
      this.log.warn(printable(`${error.name}: ${error.message}`));
    }
    if (host.getType() !== 'http') {
      if (answer === undefined)
        this.log.error(printable(error.message), error.stack && printable(error.stack));
      return answerOutsideHttp(answer ?? UNKNOWN, host);
    }
    this.answerHttp(error, answer, host);
    return undefined;
  }

  private answerHttp(error: EngineError, answer: ErrorAnswer | undefined, host: ArgumentsHost): void {
    const adapter = this.applicationRef ?? this.httpAdapterHost?.httpAdapter ?? PLAIN_RESPONSE;
    const exception = answer && new HttpException(answer, answer.statusCode, { cause: error });
    if (answer?.statusCode === (HttpStatus.SERVICE_UNAVAILABLE as number)) this.retryLater(adapter, host);
    if (adapter === PLAIN_RESPONSE) new BaseExceptionFilter(adapter).catch(exception ?? error, host);
    else super.catch((exception ?? error) as EngineError, host);
  }

  private retryLater(adapter: HttpServer, host: ArgumentsHost): void {
    const response: unknown = host.getArgByIndex(1);
    if (!adapter.isHeadersSent(response)) adapter.setHeader(response, 'Retry-After', RETRY_AFTER);
  }
}
