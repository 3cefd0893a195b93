export { AfterCommitPublisher } from './after-commit-publisher.js';
export type { EventPublisherLike } from './after-commit-publisher.js';
export { DatabaseExceptionFilter } from './database-exception.filter.js';
export { DatabaseModule } from './database.module.js';
export type {
  DatabaseModuleAsyncOptions,
  DatabaseModuleFactoryOptions,
  DatabaseModuleOptions,
  DatabaseOptionsFactory,
  RequestScopeOptions,
} from './database-options.interface.js';
export { getConnectionToken, getEngineToken } from './database.tokens.js';
export { InjectConnection, InjectEngine } from './inject.decorators.js';
export { NonTransactional, Transactional } from './transactional.decorator.js';
export type {
  Settling,
  TransactionalDecorator,
  TransactionalMethodOptions,
} from './transactional.decorator.js';
export { UseTransaction } from './use-transaction.decorator.js';
export { streamRows } from './stream-rows.js';
export type { StreamRowsOptions } from './stream-rows.js';
