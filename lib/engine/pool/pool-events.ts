import { EventChannels, type EventTiming } from '../util/event-hub.js';
import type { ServerRole, SessionNotice } from '../driver/driver.js';
import { POOL_GROUP, type PoolEngine } from './pool-trace.js';
import type { PooledConnection } from './pooled-connection.js';

/** What each event of a pool says. */
interface OfPool {
  /** Undefined for a pool without one. */
  readonly engine: PoolEngine | undefined;
}

/** A physical connection in the pool. */
export interface PoolEvent extends OfPool {
  /** The driver's own object: the `pg` Client, or the PGlite instance. */
  readonly driverConnection: unknown;
  /** Lives as long as the physical connection. */
  readonly info: Map<unknown, unknown>;
  /** How many the session has made since it was opened. */
  readonly roundTrips: number;
  /** `host:port` of its server; undefined with PGlite. */
  readonly host: string | undefined;
  /** Of that server; undefined unless the engine has replicas. */
  readonly role: ServerRole | undefined;
}

/** A physical connection that is about to be opened. */
export interface DoConnectEvent extends OfPool {
  /**
   * Empty. What listeners put in are the driver's own options for this attempt alone (`host`, `user`,
   * `password`, `ssl` … of `pg`); they win over the option `connectArgs` and over the URL.
   */
  readonly connectArgs: Record<string, unknown>;
  /** `host:port` of the replica that it is for; undefined for the primary. */
  readonly replica: string | undefined;
  /** Of the server; undefined unless the engine has replicas. */
  readonly role: ServerRole | undefined;
}

/** A connection that is about to be lent. */
export interface CheckoutEvent extends PoolEvent {
  readonly pooled: PooledConnection;
}

/** A connection that comes back. */
export interface ResetEvent extends PoolEvent {
  /** True: no transaction is open any more, so that nothing is sent. */
  readonly isClean: boolean;
}

/** A connection that is no longer on loan. */
export interface CheckinEvent extends PoolEvent {
  /** Undefined where the connection did not come back: it was invalidated. */
  readonly driverConnection: unknown;
  /** Milliseconds that it was on loan; undefined where the loan began unobserved. */
  readonly duration: number | undefined;
  /** Round trips of this loan, likewise. */
  readonly loanRoundTrips: number | undefined;
}

/** What the server says beside its answers: a NOTICE, a WARNING. */
export interface NoticeEvent extends PoolEvent, SessionNotice {}

/** A connection that will not be used on, and why. */
export interface InvalidateEvent extends PoolEvent {
  readonly cause: unknown;
}

/**
 * What a pool tells. `doConnect`, `connect` and `firstConnect` are awaited and may fail the attempt;
 * `checkout` may refuse a connection by throwing, which ends it; what the others throw is reported to the
 * logger.
 */
export interface PoolEvents {
  /**
   * A physical connection is about to be opened. A listener may change `connectArgs`, or return a connected
   * client of the driver, which is then used; the first client that is returned counts.
   */
  doConnect: (event: DoConnectEvent) => unknown;
  /**
   * The first connection of this pool was opened; again after `engine.dispose()`, and when a listener has
   * thrown. Others are lent when it has ended, so it must use `driverConnection` and not the engine.
   */
  firstConnect: (event: PoolEvent) => unknown;
  /** A physical connection was opened. */
  connect: (event: PoolEvent) => unknown;
  /** A connection is about to be lent. */
  checkout: (event: CheckoutEvent) => void;
  /** A connection comes back, or a detached one is closed; what is open on it will be rolled back. */
  reset: (event: ResetEvent) => void;
  /** A connection has come back, after its reset. */
  checkin: (event: CheckinEvent) => void;
  /** A physical connection is about to be closed. */
  close: (event: PoolEvent) => void;
  /** A connection has left the pool and lives on with its borrower. */
  detach: (event: PoolEvent) => void;
  /** A connection is about to be ended at once. */
  invalidate: (event: InvalidateEvent) => void;
  /** A connection works on until it comes back, and is then replaced. */
  softInvalidate: (event: InvalidateEvent) => void;
  /** The server says something beside its answers: `RAISE NOTICE`, a warning. */
  notice: (event: NoticeEvent) => void;
}

const POOL_TIMINGS: Readonly<Record<keyof PoolEvents, EventTiming>> = {
  doConnect: 'awaited',
  firstConnect: 'awaited',
  connect: 'awaited',
  checkout: 'sync',
  reset: 'sync',
  checkin: 'sync',
  close: 'sync',
  detach: 'sync',
  invalidate: 'sync',
  softInvalidate: 'sync',
  notice: 'sync',
};

/** Their channels, and those of the operations of a pool. */
export const POOL_CHANNELS = new EventChannels<PoolEvents>(POOL_TIMINGS, POOL_GROUP);
