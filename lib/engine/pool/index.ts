export { Pool } from './pool.js';
export type {
  CheckinEvent,
  CheckoutEvent,
  InvalidateEvent,
  PoolEvent,
  PoolEvents,
  ResetEvent,
} from './pool-events.js';
export { QueuePool } from './queue-pool.js';
export { NullPool } from './null-pool.js';
export { StaticPool } from './static-pool.js';
export { AssertionPool } from './assertion-pool.js';
export { PoolWatch } from './pool-watch.js';
export { PooledConnection } from './pooled-connection.js';
export {
  poolOptionNames,
  resolvePoolOptions,
  type PoolOptions,
  type ResetOnReturn,
  type ResolvedPoolOptions,
} from './pool-options.js';
export { SessionViews, type SessionView } from './session-views.js';
export type { CheckoutOptions } from './waiter.js';
