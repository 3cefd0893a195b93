import type { ConnectionEvents } from './execution/connection-events.js';
import type { AsyncConnection } from './connection/connection.js';
import type { PoolEvents } from './pool/pool-events.js';

/** An engine whose pool was replaced. */
export interface EngineDisposedEvent<Engine> {
  readonly engine: Engine;
}

/** A transaction that failed and is about to be run again. */
export interface RetryEvent<Engine> {
  readonly engine: Engine;
  /** What the attempt has failed with. */
  readonly error: unknown;
  /** How many attempts have failed. */
  readonly attempt: number;
}

/** What happens to an engine itself. Both are synchronous. */
export interface EngineOwnEvents<Engine> {
  /** `dispose()` has replaced the pool. */
  engineDisposed: (event: EngineDisposedEvent<Engine>) => void;
  /** A transaction has failed and is about to be run again. */
  retry: (event: RetryEvent<Engine>) => void;
}

/** All that the listeners of an engine can hear: of itself, of its connections and of its pool. */
export type EngineEvents<Engine> = EngineOwnEvents<Engine> & ConnectionEvents<AsyncConnection> & PoolEvents;
