import { type ArgumentsHost, Catch, UnprocessableEntityException } from '@nestjs/common';
import { BaseExceptionFilter, HttpAdapterHost } from '@nestjs/core';
import { CheckViolationError } from 'nest-async-engine';
import { Journal } from './journal.js';
import { tenantOf } from './tenant.js';

/** The transaction of the request is rolled back by now. What is written here commits itself, and stays. */
@Catch(CheckViolationError)
export class FailureJournalFilter extends BaseExceptionFilter {
  constructor(
    host: HttpAdapterHost,
    private readonly journal: Journal,
  ) {
    super(host.httpAdapter);
  }

  override catch(_error: CheckViolationError, host: ArgumentsHost): void {
    const tenant = tenantOf(host.switchToHttp().getRequest());
    const answer = (): void => super.catch(new UnprocessableEntityException('A note needs a text.'), host);
    void this.journal.write(tenant, 'a note was refused').finally(answer);
  }
}
