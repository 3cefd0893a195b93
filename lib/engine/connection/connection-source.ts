import type { Dialect } from './dialect.js';
import type { ExecutionOptions } from '../execution/execution-options.js';
import type { EngineLogger } from '../util/logger.js';
import type { Pool } from '../pool/pool.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import type { CompiledCache } from '../statement/compiled-cache.js';
import type { Transaction } from '../transaction/transaction.js';
import type { ObserverFactory } from '../execution/connection-observer.js';
import type { Watchdog } from '../util/watchdog.js';

/** What a connection needs of its engine. */
export interface ConnectionSourceOf<Connection> {
  readonly pool: Pool;
  readonly compiledCache: CompiledCache;
  readonly logger: EngineLogger;
  readonly dialect: Dialect;
  /** Who wants to know what happens. */
  readonly observers: ObserverFactory<Connection>;
  readonly nestedWaitTimeout: number;
  readonly commitTimeout: number;
  /** For the deadlines of COMMIT and ROLLBACK. */
  readonly watchdog: Watchdog;
  getExecutionOptions(): ExecutionOptions;
  /** The transaction of the calling async context that lives on `connection`. */
  transactionOn(connection: Connection): Transaction<Connection> | undefined;
  holding(): readonly PooledConnection[];
  outside<T>(work: () => T): T;
}

/**
 * `explicit`: started by `start()`. `scoped`: takes a connection at its first statement and keeps it.
 * `transaction`: the same, but gives it back whenever a transaction has ended.
 */
export type ConnectionMode = 'explicit' | 'scoped' | 'transaction';
