import type { LateOptions } from './connection-options.js';
import type { ConnectionObserver, ObserverFactory } from '../execution/connection-observer.js';
import type { EngineOf, Labeled } from '../execution/event-place.js';
import type { ReplicaRouter } from './replica-router.js';
import type { CommandResult } from '../driver/driver.js';
import type { ExecutionOptions } from '../execution/execution-options.js';
import type { Invocation } from '../execution/invocation.js';
import type { Pool } from '../pool/pool.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import type { CompiledCache } from '../statement/compiled-cache.js';
import type { Transaction } from '../transaction/transaction.js';
import type { TransactionEngine } from '../transaction/transaction-host.js';
import type { EngineLogger } from '../util/logger.js';
import type { WaitSignal } from '../util/wait-end.js';
import type { Watchdog } from '../util/watchdog.js';

/** The database system and the driver of an engine, by name. */
export interface Dialect {
  /** `postgresql`. */
  readonly name: string;
  /** `pg` or `pglite`. */
  readonly driver: string;
}

/** What a connection needs of its engine. Times in ms. @internal */
export interface ConnectionHost<Connection> extends TransactionEngine {
  readonly engine: EngineOf<Connection>;
  readonly pool: Pool;
  readonly compiledCache: CompiledCache;
  readonly logger: EngineLogger;
  readonly dialect: Dialect;
  /** Makes the observers of what happens on a connection. */
  readonly observers: ObserverFactory<Connection>;
  /** The engine's own `settings`, which each session has. */
  readonly sessionSettings: Readonly<Record<string, string>>;
  readonly commitTimeout: number;
  /** For the deadlines of COMMIT and ROLLBACK. */
  readonly watchdog: Watchdog;
  /** Undefined: there are no replicas. */
  readonly router: ReplicaRouter | undefined;
  /** What its connections begin with. */
  readonly executionOptions: ExecutionOptions;
  /** The scope that the caller is in. */
  readonly scope: Labeled | undefined;
  /** The transaction of the calling async context that lives on `connection`. */
  transactionOn(connection: Connection): Transaction<Connection> | undefined;
  /** Runs `work`, which has `connection` for itself: a wait for another one may be a deadlock. */
  runHolding<T>(connection: Connection, work: () => T): T;
  /** Waits for a connection on behalf of the caller and of the scope that it works in. */
  checkout(signal?: WaitSignal): Promise<PooledConnection>;
  /**
   * Runs a plain read, which may share a session with others; undefined for what must have one alone.
   */
  runRead(invocation: Invocation): Promise<CommandResult> | undefined;
}

/**
 * `explicit`: started by `start()`. `scoped`: takes a connection at its first statement and keeps it.
 * `transaction`: the same, but gives it back whenever a transaction has ended.
 */
export type ConnectionMode = 'explicit' | 'scoped' | 'transaction';

/** How a connection begins and ends. */
export interface ConnectionSettings {
  /** Default `explicit`. */
  readonly mode?: ConnectionMode;
  /** Asked once, by the first statement, for options that are not known before. */
  readonly late?: LateOptions | undefined;
  /** Makes the error of a use after the end. Default: a `ResourceClosedError`. */
  readonly ended?: (() => Error) | undefined;
}

/** The connection that a session is of. */
export interface ObservedCore<Connection> {
  /** Undefined while nothing observes the engine or the connection. */
  observer(): ConnectionObserver<Connection> | undefined;
}
