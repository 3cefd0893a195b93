import { ValueType } from '@opentelemetry/api';
import type { Attributes, Counter, Histogram, Meter, ObservableResult } from '@opentelemetry/api';
import { PoolTimeoutError } from '../engine/index.js';
import type {
  AcquireEvent,
  AsyncConnection,
  AsyncEngine,
  CheckinEvent,
  CheckoutEvent,
  TransactionEvent,
} from '../engine/index.js';

/** Seconds, as the semantic conventions want them. */
const BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];
const seconds = (milliseconds: number): number => milliseconds / 1_000;

/** The metrics of one engine, by the semantic conventions for databases. */
export class EngineMetrics {
  readonly #engine: AsyncEngine;
  readonly #pool: Attributes;
  readonly #database: string;
  readonly #operations: Histogram;
  readonly #waits: Histogram;
  readonly #uses: Histogram;
  readonly #openings: Histogram;
  readonly #timeouts: Counter;
  readonly #transactions: Counter;
  readonly #roundTrips: Counter;
  readonly #stops: (() => void)[] = [];
  /** When each connection was lent, by `performance.now()`, and its round trips until then. */
  readonly #loans = new WeakMap<
    object,
    { readonly since: number; readonly roundTrips: number; readonly pool: Attributes }
  >();

  constructor(meter: Meter, engine: AsyncEngine) {
    this.#engine = engine;
    const { host = 'localhost', port = 5432, database = '' } = engine.url;
    this.#database = database;
    this.#pool = this.#poolAt(`${host}:${port}`);
    const duration = (name: string, description: string): Histogram =>
      meter.createHistogram(name, { description, unit: 's', advice: { explicitBucketBoundaries: BUCKETS } });
    this.#operations = duration('db.client.operation.duration', 'Duration of statements.');
    this.#waits = duration('db.client.connection.wait_time', 'Time to get a connection from the pool.');
    this.#uses = duration('db.client.connection.use_time', 'Time between a checkout and its return.');
    this.#openings = duration('db.client.connection.create_time', 'Time to open a connection.');
    const counter = (name: string, description: string, unit: string): Counter =>
      meter.createCounter(name, { description, unit, valueType: ValueType.INT });
    this.#timeouts = counter(
      'db.client.connection.timeouts',
      'Callers that got no connection in time.',
      '{timeout}',
    );
    this.#transactions = counter(
      'nest_async_engine.transactions',
      'Transactions by outcome.',
      '{transaction}',
    );
    this.#roundTrips = counter(
      'nest_async_engine.round_trips',
      'Flights to the server and back.',
      '{round_trip}',
    );
    this.#observePool(meter);
    this.#listen();
  }

  #observePool(meter: Meter): void {
    const engine = this.#engine;
    this.#observe(meter, 'count', 'Connections by state.', (result) => {
      const { pool } = engine;
      result.observe(pool.checkedIn(), { ...this.#pool, 'db.client.connection.state': 'idle' });
      result.observe(pool.checkedOut(), { ...this.#pool, 'db.client.connection.state': 'used' });
      for (const { host, checkedOut } of engine.replicas.status())
        result.observe(checkedOut, { ...this.#poolAt(host), 'db.client.connection.state': 'used' });
    });
    this.#observe(meter, 'idle.max', 'Idle connections at most.', (result) =>
      result.observe(engine.pool.options.poolSize, this.#pool),
    );
    this.#observe(meter, 'max', 'Connections at most.', (result) => {
      const { poolSize, maxOverflow } = engine.pool.options;
      if (maxOverflow !== -1) result.observe(poolSize + maxOverflow, this.#pool);
    });
    this.#observe(meter, 'pending_requests', 'Callers that wait for a connection.', (result) => {
      result.observe(engine.pool.waiting(), this.#pool);
      for (const { host, waiting } of engine.replicas.status()) result.observe(waiting, this.#poolAt(host));
    });
  }

  #poolAt(host: string): Attributes {
    return { 'db.client.connection.pool.name': `${host}/${this.#database}` };
  }

  stop(): void {
    for (const stop of this.#stops) stop();
  }

  operation(duration: number, attributes: Attributes): void {
    this.#operations.record(seconds(duration), attributes);
  }

  acquired({ pool, duration = 0, error }: AcquireEvent): void {
    // Which of the replicas it was for is not known.
    if (pool !== this.#engine.pool) return;
    if (error === undefined) this.#waits.record(seconds(duration), this.#pool);
    else if (error instanceof PoolTimeoutError) this.#timeouts.add(1, this.#pool);
  }

  opened(duration: number): void {
    this.#openings.record(seconds(duration), this.#pool);
  }

  ended({ nested, outcome }: TransactionEvent<AsyncConnection>): void {
    if (!nested) this.#transactions.add(1, { ...this.#pool, outcome });
  }

  #observe(meter: Meter, name: string, description: string, read: (result: ObservableResult) => void): void {
    const unit = name === 'pending_requests' ? '{request}' : '{connection}';
    const gauge = meter.createObservableUpDownCounter(`db.client.connection.${name}`, { description, unit });
    gauge.addCallback(read);
    this.#stops.push(() => gauge.removeCallback(read));
  }

  #listen(): void {
    const replicas = new Set(this.#engine.replicas.status().map(({ host }) => host));
    const lent = ({ info, roundTrips, host = '' }: CheckoutEvent): void => {
      const pool = replicas.has(host) ? this.#poolAt(host) : this.#pool;
      this.#loans.set(info, { since: performance.now(), roundTrips, pool });
    };
    const returned = ({ info, roundTrips }: CheckinEvent): void => {
      const loan = this.#loans.get(info);
      if (loan === undefined) return;
      this.#loans.delete(info);
      this.#uses.record(seconds(performance.now() - loan.since), loan.pool);
      this.#roundTrips.add(roundTrips - loan.roundTrips, loan.pool);
    };
    this.#engine.on('checkout', lent).on('checkin', returned);
    this.#stops.push(() => void this.#engine.off('checkout', lent).off('checkin', returned));
  }
}
