export { TransactionalEventListener } from './transactional-event-listener.decorator.js';
export type {
  TransactionalEventListenerOptions,
  TransactionPhase,
} from './transactional-event-listener.decorator.js';
