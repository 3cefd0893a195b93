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

/** A replica, and why its state has changed. */
export interface ReplicaEvent<Engine> {
  readonly engine: Engine;
  /** Host and port; undefined for `replicaFallback`. */
  readonly host: string | undefined;
  /** Why, in a sentence; undefined for `replicaUp` and `replicaBehind`. */
  readonly reason: string | undefined;
}

/** What happens to an engine itself. All are synchronous. */
export interface EngineOwnEvents<Engine> {
  /** `dispose()` has replaced the pool. */
  engineDisposed: (event: EngineDisposedEvent<Engine>) => void;
  /** A transaction has failed and is about to be run again. */
  retry: (event: RetryEvent<Engine>) => void;
  /** A replica takes no work any more. */
  replicaDown: (event: ReplicaEvent<Engine>) => void;
  /** A replica takes work, for the first time or again. */
  replicaUp: (event: ReplicaEvent<Engine>) => void;
  /** Work that was meant for a replica runs on the primary, because none takes work. */
  replicaFallback: (event: ReplicaEvent<Engine>) => void;
  /** A replica did not have a scope's own write yet, so that the read runs on the primary. */
  replicaBehind: (event: ReplicaEvent<Engine>) => void;
}

/** All that the listeners of an engine can hear: of itself, of its connections and of its pool. */
export type EngineEvents<Engine> = EngineOwnEvents<Engine> & ConnectionEvents<AsyncConnection> & PoolEvents;
