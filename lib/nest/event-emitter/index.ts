/**
 * Listeners of `@nestjs/event-emitter` that wait for the transaction in which the event was emitted.
 *
 * @module nest-async-engine/event-emitter
 */
export { TransactionalEventListener } from './transactional-event-listener.decorator.js';
export type {
  MethodDecoratorOf,
  TransactionalEventListenerOptions,
  TransactionPhase,
} from './transactional-event-listener.decorator.js';
