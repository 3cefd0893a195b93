import { ValueType } from '@opentelemetry/api';
import type { Attributes, Histogram, Meter, ObservableResult } from '@opentelemetry/api';
import { PoolTimeoutError } from '../engine/index.js';
import type {
  AcquireEvent,
  AsyncConnection,
  AsyncEngine,
  CheckinEvent,
  ServerRole,
  TransactionEvent,
} from '../engine/index.js';
import { MeasurementQueue } from './measurement-queue.js';
import { roleOf } from './span-end.js';

/** Seconds, as the semantic conventions want them. */
const BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];

/** Of the engine's own pool, or of a replica's. */
interface PoolFigures {
  readonly attributes: Attributes;
  roundTrips: number;
}

/** The metrics of one engine, by the semantic conventions for databases. */
export class EngineMetrics {
  readonly #engine: AsyncEngine;
  readonly #pool: Attributes;
  readonly #database: string;
  readonly #operations: Histogram;
  readonly #waits: Histogram;
  readonly #uses: Histogram;
  readonly #openings: Histogram;
  readonly #queue = new MeasurementQueue();
  /** Sums, which are read when they are collected: each call of a counter costs more than the rest of it. */
  #timeouts = 0;
  /** By the host of a replica; the engine's own is that of ''. */
  readonly #pools = new Map<string, PoolFigures>();
  readonly #transactions = new Map<string, number>();
  readonly #stops: (() => void)[] = [];

  constructor(meter: Meter, engine: AsyncEngine) {
    this.#engine = engine;
    const { host = 'localhost', port = 5432, database = '' } = engine.url;
    this.#database = database;
    this.#pool = this.#poolAt(`${host}:${port}`, engine.pool.role);
    const duration = (name: string, description: string): Histogram =>
      meter.createHistogram(name, { description, unit: 's', advice: { explicitBucketBoundaries: BUCKETS } });
    this.#operations = duration('db.client.operation.duration', 'Duration of statements.');
    this.#waits = duration('db.client.connection.wait_time', 'Time to get a connection from the pool.');
    this.#uses = duration('db.client.connection.use_time', 'Time between a checkout and its return.');
    this.#openings = duration('db.client.connection.create_time', 'Time to open a connection.');
    this.#observePool(meter);
    this.#observeSums(meter);
    this.#listen();
  }

  #observePool(meter: Meter): void {
    const engine = this.#engine;
    this.#observe(meter, 'count', 'Connections by state.', (result) => {
      this.#queue.flush();
      const { pool } = engine;
      result.observe(pool.checkedIn(), { ...this.#pool, 'db.client.connection.state': 'idle' });
      result.observe(pool.checkedOut(), { ...this.#pool, 'db.client.connection.state': 'used' });
      for (const { host, checkedOut } of engine.replicas.status())
        result.observe(checkedOut, {
          ...this.#poolAt(host, 'replica'),
          'db.client.connection.state': 'used',
        });
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
      for (const { host, waiting } of engine.replicas.status())
        result.observe(waiting, this.#poolAt(host, 'replica'));
    });
  }

  #poolAt(host: string, role: ServerRole | undefined): Attributes {
    return { 'db.client.connection.pool.name': `${host}/${this.#database}`, ...roleOf({ role }) };
  }

  #figuresAt(host: string): PoolFigures {
    const known = this.#pools.get(host);
    if (known !== undefined) return known;
    const figures = { attributes: host === '' ? this.#pool : this.#poolAt(host, 'replica'), roundTrips: 0 };
    this.#pools.set(host, figures);
    return figures;
  }

  #observeSums(meter: Meter): void {
    const count = (
      name: string,
      description: string,
      unit: string,
      read: (result: ObservableResult) => void,
    ): void => {
      const counter = meter.createObservableCounter(name, { description, unit, valueType: ValueType.INT });
      counter.addCallback(read);
      this.#stops.push(() => counter.removeCallback(read));
    };
    const timeouts = 'db.client.connection.timeouts';
    count(timeouts, 'Callers that got no connection in time.', '{timeout}', (result) => {
      if (this.#timeouts > 0) result.observe(this.#timeouts, this.#pool);
    });
    const transactions = 'nest_async_engine.transactions';
    count(transactions, 'Transactions by outcome.', '{transaction}', (result) => {
      for (const [outcome, sum] of this.#transactions) result.observe(sum, { ...this.#pool, outcome });
    });
    const roundTrips = 'nest_async_engine.round_trips';
    count(roundTrips, 'Flights to the server and back.', '{round_trip}', (result) => {
      for (const { roundTrips: sum, attributes } of this.#pools.values()) result.observe(sum, attributes);
    });
  }

  stop(): void {
    for (const stop of this.#stops) stop();
    this.#queue.flush();
  }

  operation(duration: number, attributes: Attributes): void {
    this.#queue.add(this.#operations, duration, attributes);
  }

  acquired({ pool, duration = 0, error }: AcquireEvent): void {
    // Which of the replicas it was for is not known.
    if (pool !== this.#engine.pool) return;
    if (error === undefined) this.#queue.add(this.#waits, duration, this.#pool);
    else if (error instanceof PoolTimeoutError) this.#timeouts += 1;
  }

  opened(duration: number): void {
    this.#queue.add(this.#openings, duration, this.#pool);
  }

  ended({ nested, outcome = 'unknown' }: TransactionEvent<AsyncConnection>): void {
    if (!nested) this.#transactions.set(outcome, (this.#transactions.get(outcome) ?? 0) + 1);
  }

  #observe(meter: Meter, name: string, description: string, read: (result: ObservableResult) => void): void {
    const unit = name === 'pending_requests' ? '{request}' : '{connection}';
    const gauge = meter.createObservableUpDownCounter(`db.client.connection.${name}`, { description, unit });
    gauge.addCallback(read);
    this.#stops.push(() => gauge.removeCallback(read));
  }

  #listen(): void {
    const replicas = new Set(this.#engine.replicas.status().map(({ host }) => host));
    const returned = ({ duration, loanRoundTrips = 0, host = '' }: CheckinEvent): void => {
      const figures = this.#figuresAt(replicas.has(host) ? host : '');
      if (duration !== undefined) this.#queue.add(this.#uses, duration, figures.attributes);
      figures.roundTrips += loanRoundTrips;
    };
    this.#engine.on('checkin', returned);
    this.#stops.push(() => void this.#engine.off('checkin', returned));
  }
}
