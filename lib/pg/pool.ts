import pg from 'pg';
import type { Client, PoolClient } from 'pg';
import { ResourceClosedError, type AsyncEngine } from '../engine/index.js';
import { CallSite } from '../engine/util/call-site.js';
import { AmbientSession } from './ambient-session.js';
import { isForeign, refuse, type Answer, type Callback, type ForeignQuery } from './client-queries.js';
import { ClientPools } from './client-pools.js';
import { KnownClient } from './known-client.js';
import { LentClient } from './lent-client.js';
import { OwnSession } from './own-session.js';

type ConnectCallback = (
  error: Error | undefined,
  client: PoolClient | undefined,
  done: (failure?: unknown) => void,
) => void;

/** A `pg.Pool` whose clients are those of an engine. Some tools know a pool by the name of its class. */
export class Pool extends pg.Pool {
  readonly #engine: AsyncEngine;
  readonly #known = new WeakMap<Client, KnownClient>();

  constructor(engine: AsyncEngine) {
    super(optionsOf(engine));
    this.#engine = engine;
    Object.defineProperties(this, countersOf(engine));
  }

  override connect(): Promise<PoolClient>;
  override connect(callback: ConnectCallback): void;
  override connect(callback?: ConnectCallback): Promise<PoolClient> | void {
    const client = this.#borrow().then(({ view }) => view);
    if (callback === undefined) return client;
    client.then(
      (view) => callback(undefined, view, (failure) => view.release(failure as Error)),
      (error: Error) => callback(error, undefined, () => undefined),
    );
  }

  override query = ((given: unknown, ...rest: unknown[]) => this.#query(given, rest)) as pg.Pool['query'];

  override end(): Promise<void>;
  override end(callback: () => void): void;
  override end(callback?: () => void): Promise<void> | void {
    Object.assign(this, { ending: true, ended: true });
    if (callback === undefined) return Promise.resolve();
    process.nextTick(callback);
  }

  #query(given: unknown, rest: readonly unknown[]): unknown {
    const borrowed = this.#borrow();
    if (isForeign(given)) {
      this.#submit(given, rest, borrowed).catch((error: unknown) => refuse(given, error));
      return given;
    }
    const callback = rest.find((argument) => typeof argument === 'function') as Callback | undefined;
    const answer = this.#ask(given, rest, borrowed);
    if (callback === undefined) return answer;
    void answer.then((result) => callback(null, result), callback);
    return undefined;
  }

  async #ask(given: unknown, rest: readonly unknown[], borrowed: Promise<LentClient>): Promise<Answer> {
    const { queries, view } = await borrowed;
    try {
      return await queries.ask(given, rest);
    } finally {
      view.release();
    }
  }

  async #submit(query: ForeignQuery, rest: readonly unknown[], borrowed: Promise<LentClient>): Promise<void> {
    const { queries, view } = await borrowed;
    try {
      await queries.submit(query, rest);
    } finally {
      view.release();
    }
  }

  async #borrow(): Promise<LentClient> {
    const place = new CallSite();
    if (this.ending) {
      throw new ResourceClosedError(
        'this pool was ended by end(). The engine goes on: take another pool by asPool(engine).',
      );
    }
    const active = this.#engine.activeTransaction();
    const lent =
      active === undefined
        ? await this.#borrowOwn(place)
        : new LentClient(await AmbientSession.in(active, place), place, (...facts) =>
            this.#released(...facts),
          );
    this.#tell(lent, () => this.emit('acquire', lent.view));
    return lent;
  }

  async #borrowOwn(place: CallSite): Promise<LentClient> {
    const pooled = await this.#engine.rawConnection();
    const session = new OwnSession(pooled);
    // In a test, all sessions are parts of one, which outlives the test.
    const known = session.isPart ? undefined : this.#know(session);
    const lent = new LentClient(session, place, (released, failure) => {
      known?.reclaim(session.isUnchanged, failure !== undefined);
      this.#released(released, failure);
    });
    this.#tell(lent, () => known?.lend(lent));
    return lent;
  }

  #know(session: OwnSession): KnownClient {
    const before = this.#known.get(session.client);
    if (before !== undefined) return before;
    const known = new KnownClient((event, ...facts) => {
      // An error without a listener would end the process; the engine replaces the connection by itself.
      if (event !== 'error' || this.listenerCount(event) > 0) this.emit(event, ...facts);
    });
    this.#known.set(session.client, known);
    ClientPools.of(session).add(known);
    return known;
  }

  /** What a listener throws fails the checkout and keeps nothing. */
  #tell({ view }: LentClient, emit: () => void): void {
    try {
      emit();
    } catch (error) {
      view.release();
      throw error;
    }
  }

  #released({ session, view, place }: LentClient, failure: unknown): void {
    if (session.transactionStatus !== 'I' && failure === undefined) {
      this.#engine.logger.warn(
        `a client was released with an open transaction (borrowed at ${String(place)}): what it did is rolled back. ` +
          'Send COMMIT or ROLLBACK before release().',
      );
    }
    void session.end(failure);
    this.emit('release', failure, view);
  }
}

/** What tools look up. Times in ms. */
function optionsOf({ pool: { options }, url }: AsyncEngine): pg.PoolConfig {
  const { poolSize, maxOverflow, poolMinIdle, poolIdleTimeout = 0, poolTimeout } = options;
  const { host, port, database, username: user } = url;
  const max = poolSize === 0 || maxOverflow < 0 ? Number.POSITIVE_INFINITY : poolSize + maxOverflow;
  return {
    max,
    min: poolMinIdle,
    idleTimeoutMillis: poolIdleTimeout,
    connectionTimeoutMillis: poolTimeout,
    host,
    port,
    database,
    user,
  };
}

/** The figures of the engine's present pool. */
function countersOf(engine: AsyncEngine): PropertyDescriptorMap {
  const counter = (get: () => number): PropertyDescriptor => ({ get, configurable: true, enumerable: true });
  return {
    totalCount: counter(() => engine.pool.checkedIn() + engine.pool.checkedOut()),
    idleCount: counter(() => engine.pool.checkedIn()),
    waitingCount: counter(() => engine.pool.waiting()),
    // The engine replaces an old connection when it is taken, and keeps no count of them.
    expiredCount: counter(() => 0),
  };
}
