import { Inject, Injectable, UseInterceptors, applyDecorators } from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor, Type } from '@nestjs/common';
import { defer } from 'rxjs';
import type { Observable } from 'rxjs';
import type { AsyncEngine, TransactionalOptions } from '../../engine/index.js';
import { inTransaction } from '../../rx/index.js';
import { getEngineToken } from '../shared/database.tokens.js';
import type { TransactionalMethodOptions } from './transactional.decorator.js';

/**
 * `@Transactional()` as an interceptor, for a handler or a controller: the transaction covers pipes and the
 * interceptors inside this one, too, and is committed before the response is written.
 */
export function UseTransaction(options: TransactionalMethodOptions = {}): ClassDecorator & MethodDecorator {
  const { engine, ...transactional } = options;
  return applyDecorators(UseInterceptors(transactionInterceptor(engine, transactional)));
}

function transactionInterceptor(
  name: string | undefined,
  options: TransactionalOptions,
): Type<NestInterceptor> {
  @Injectable()
  class TransactionInterceptor implements NestInterceptor {
    constructor(@Inject(getEngineToken(name)) private readonly engine: AsyncEngine) {}

    intercept(context: ExecutionContext, next: CallHandler<unknown>): Observable<unknown> {
      const label = `${context.getClass().name}.${context.getHandler().name}`;
      return inTransaction(this.engine, { label, ...options })(defer(() => next.handle()));
    }
  }
  return TransactionInterceptor;
}
