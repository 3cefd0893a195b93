import { Inject, Injectable, UseInterceptors, applyDecorators } from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor, Type } from '@nestjs/common';
import { defer, type Observable } from 'rxjs';
import { TRANSACTIONAL_OPTIONS } from '../../engine/ambient/transactional-options.js';
import type { AsyncEngine, TransactionalOptions } from '../../engine/index.js';
import { nameRule } from '../../engine/util/option-rule.js';
import { OptionTable } from '../../engine/util/option-table.js';
import { inTransaction } from '../../rx/index.js';
import { getEngineToken } from '../shared/database.tokens.js';

/** How a handler is transactional; `engine` says in which database. */
export interface UseTransactionOptions extends TransactionalOptions {
  /** The name of the database. Default: the unnamed one. */
  readonly engine?: string | undefined;
}

const USE_TRANSACTION_OPTIONS = new OptionTable<UseTransactionOptions>(
  '@UseTransaction',
  { ...TRANSACTIONAL_OPTIONS.rules, engine: nameRule },
  'taken',
  () => TRANSACTIONAL_OPTIONS.misplaced,
);

/**
 * `@Transactional()` as an interceptor, for a handler or a controller: the transaction also covers pipes and
 * the interceptors inside this one, and is committed before the response is written.
 *
 * @example
 * ```ts
 * @Post()
 * @UseTransaction()
 * async place(@Body() order: Order): Promise<void> {}
 * ```
 */
export function UseTransaction(options: UseTransactionOptions = {}): ClassDecorator & MethodDecorator {
  const { engine, ...transactional } = USE_TRANSACTION_OPTIONS.parse(options);
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
