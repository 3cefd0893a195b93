import type { ServerRole } from '../driver/driver.js';
import { ChannelGroup, type TracedEvent } from '../util/channels.js';
import type { ConnectionRecord } from './connection-record.js';
import type { PooledConnection } from './pooled-connection.js';

/** The engine of a pool. The hall of the engine adds all of an `AsyncEngine`. */
export interface PoolEngine {}

/** The figures of a pool. */
export interface PoolFigures {
  /** Of its server; undefined unless the engine has replicas. */
  readonly role?: ServerRole | undefined;
  readonly options: { readonly poolSize: number; readonly maxOverflow: number };
  /** How many connections are idle. */
  checkedIn(): number;
  /** How many connections are on loan. */
  checkedOut(): number;
  /** How many callers wait for a connection. */
  waiting(): number;
}

/** A caller takes a connection from a pool, from its call to the answer. */
export interface AcquireEvent extends TracedEvent {
  /** Undefined for a pool without one. */
  readonly engine: PoolEngine | undefined;
  readonly pool: PoolFigures;
  /** Of the pool's server; undefined unless the engine has replicas. */
  readonly role: ServerRole | undefined;
  /** By `performance.now()`. */
  readonly startedAt: number;
  /** True: no connection was free. */
  readonly hasWaited: boolean;
  /** Milliseconds, once it is over. */
  duration: number | undefined;
  /** The session that the caller has got, by the id of its process. */
  processId: number | undefined;
}

/** A pool opens a connection. */
export interface ConnectTrace extends TracedEvent {
  readonly engine: PoolEngine | undefined;
  /** Of the server; undefined unless the engine has replicas. */
  readonly role: ServerRole | undefined;
  readonly startedAt: number;
  duration: number | undefined;
}

/** What `pg-pool` says of a checkout on its own channel (node-postgres#3650). */
interface PgPoolConnect extends TracedEvent {
  readonly pool: {
    readonly totalCount: number;
    readonly idleCount: number;
    readonly waitingCount: number;
    readonly maxSize: number;
  };
  client?: { readonly processID: number | undefined; readonly reused: boolean };
}

/** The channels on which pools tell of themselves. */
export const POOL_GROUP = new ChannelGroup();

const ACQUIRE = POOL_GROUP.trace<AcquireEvent>('nest-async-engine:acquire');
const CONNECT = POOL_GROUP.trace<ConnectTrace>('nest-async-engine:connect');
const PG_ACQUIRE = POOL_GROUP.trace<PgPoolConnect>('pg:pool:connect');
const PG_RELEASE = POOL_GROUP.channel('pg:pool:release');
const PG_REMOVE = POOL_GROUP.channel('pg:pool:remove');

export function isAcquireObserved(): boolean {
  return ACQUIRE.isObserved || PG_ACQUIRE.isObserved;
}

/** A checkout on its way; ends with the connection, or with why there is none. */
export class AcquireTrace {
  readonly #event: AcquireEvent;
  /** Undefined unless its channel has subscribers. */
  readonly #pg: PgPoolConnect | undefined;

  constructor(
    engine: PoolEngine | undefined,
    pool: PoolFigures,
    {
      hasWaited,
      startedAt = performance.now(),
    }: { readonly hasWaited: boolean; readonly startedAt?: number | undefined },
  ) {
    this.#event = {
      engine,
      pool,
      role: pool.role,
      startedAt,
      hasWaited,
      duration: undefined,
      processId: undefined,
      error: undefined,
    };
    if (ACQUIRE.isObserved) ACQUIRE.begin(this.#event, nothing);
    if (!PG_ACQUIRE.isObserved) return;
    this.#pg = { pool: figuresOf(pool) };
    PG_ACQUIRE.begin(this.#pg, nothing);
  }

  given(loan: PooledConnection, now = performance.now()): void {
    const { processId: processID } = loan.session;
    this.#event.processId = processID;
    if (this.#pg !== undefined) this.#pg.client = { processID, reused: loan.isReused };
    this.#end(now);
  }

  failed(error: unknown): void {
    this.#event.error = error;
    if (this.#pg !== undefined) this.#pg.error = error;
    this.#end(performance.now());
  }

  #end(now: number): void {
    this.#event.duration = now - this.#event.startedAt;
    ACQUIRE.finish(this.#event);
    if (this.#pg !== undefined) PG_ACQUIRE.finish(this.#pg);
  }
}

const nothing = (): void => undefined;

function figuresOf(pool: PoolFigures): PgPoolConnect['pool'] {
  const { poolSize, maxOverflow } = pool.options;
  return {
    totalCount: pool.checkedIn() + pool.checkedOut(),
    idleCount: pool.checkedIn(),
    waitingCount: pool.waiting(),
    maxSize: maxOverflow === -1 ? Number.POSITIVE_INFINITY : poolSize + maxOverflow,
  };
}

/** Tells of the opening of a connection. */
export async function traceConnect<T>(
  { engine, role }: Pick<ConnectTrace, 'engine' | 'role'>,
  open: () => Promise<T>,
): Promise<T> {
  const startedAt = performance.now();
  const event: ConnectTrace = { engine, role, startedAt, duration: undefined, error: undefined };
  return await CONNECT.run(event, async () => {
    try {
      return await open();
    } finally {
      event.duration = performance.now() - startedAt;
    }
  });
}

export function publishRelease({ session }: ConnectionRecord, error: unknown): void {
  if (PG_RELEASE.hasSubscribers) PG_RELEASE.publish({ client: { processID: session.processId }, error });
}

export function publishRemove({ session }: ConnectionRecord): void {
  if (PG_REMOVE.hasSubscribers) PG_REMOVE.publish({ client: { processID: session.processId } });
}
