import { EXECUTION_CHANNELS, type ConnectionEvent, type EngineOf, type Labeled } from './event-place.js';
import type {
  ObservedTransaction,
  TransactionObservation,
  TransactionOutcome,
} from '../transaction/transaction-observation.js';
import type { TransactionOptions } from '../transaction/isolation.js';
import type { ServerRole, SessionServer } from '../driver/driver.js';
import { hostOf } from '../driver/host-of.js';
import type { TracedEvent } from '../util/channels.js';

/** The operations on `tracing:nest-async-engine:transaction`. */
const TRACE = EXECUTION_CHANNELS.trace<TransactionEvent<unknown>>('nest-async-engine:transaction');

/**
 * One transaction or savepoint, from its beginning to its end: every listener and every subscriber of a
 * channel gets this object for it, and may hang its own data on it.
 */
export class TransactionEvent<Connection> implements TracedEvent {
  readonly engine: EngineOf<Connection>;
  readonly connection: Connection | undefined;
  readonly id: string;
  /** True: a savepoint. */
  readonly nested: boolean;
  /** The one around a savepoint. */
  readonly parent: TransactionEvent<Connection> | undefined;
  readonly options: TransactionOptions;
  /** By `performance.now()`. */
  readonly startedAt = performance.now();
  /** Of a savepoint, once it has a name. */
  name: string | undefined;
  /** Where it runs; known from its first statement on. Undefined with PGlite. */
  server: SessionServer | undefined;
  /** How it has ended; `unknown`: the connection was lost during COMMIT. */
  outcome: TransactionOutcome | undefined;
  /** Milliseconds from its beginning to its end. */
  duration: number | undefined;
  /** How often a command of its own, such as COMMIT, has left for the server, beside its statements. */
  roundTrips = 0;
  /** What made it fail. */
  error: unknown;
  /** Why it is rolled back, where its work was given as a function: what that has failed with. */
  reason: unknown;
  /** The attempt that has failed, where this one repeats it. */
  retryOf: TransactionEvent<Connection> | undefined;
  /**
   * A listener may set it: the work of the transaction runs in it, where the transaction was given its work
   * as a function. For tools that keep what is going on in the async context.
   */
  enter: (<T>(work: () => T) => T) | undefined;
  /** A listener may add settings that travel with BEGIN; those of the transaction itself win. */
  settings: Readonly<Record<string, string>> | undefined;
  readonly #transaction: Labeled;
  readonly #scope: Labeled | undefined;
  #progress: 'new' | 'traced' | 'untraced' | 'ended' = 'new';

  constructor(
    { engine, connection }: ConnectionEvent<Connection>,
    transaction: ObservedTransaction,
    facts: {
      readonly id: string;
      readonly scope: Labeled | undefined;
      parent: TransactionEvent<Connection> | undefined;
    },
  ) {
    this.engine = engine;
    this.connection = connection;
    this.#transaction = transaction;
    this.nested = transaction.nested;
    this.options = transaction.options;
    this.id = facts.id;
    this.parent = facts.parent;
    this.#scope = facts.scope;
  }

  /** `host:port` of the server. */
  get host(): string | undefined {
    return hostOf(this.server);
  }

  /** Of that server; undefined unless the engine has replicas. */
  get role(): ServerRole | undefined {
    return this.server?.role;
  }

  /** The label of the transaction, or where it was started. */
  get transaction(): string {
    return this.#transaction.origin;
  }

  /** The label of the scope, or where it was opened. */
  get scope(): string | undefined {
    return this.#scope?.origin;
  }

  /** @internal */
  start(): void {
    if (this.#progress === 'new') this.#begin(() => undefined);
  }

  /** @internal */
  run<T>(work: () => T): T {
    const entered = (): T => (this.enter === undefined ? work() : this.enter(work));
    return this.#progress === 'new' ? this.#begin(entered) : entered();
  }

  #begin<T>(work: () => T): T {
    this.parent?.start();
    this.#progress = TRACE.isObserved ? 'traced' : 'untraced';
    return this.#progress === 'traced' ? TRACE.begin(this, work) : work();
  }

  /** @internal */
  left(): void {
    this.roundTrips += 1;
  }

  /** @internal */
  undoneFor(cause: unknown): void {
    this.reason = cause;
  }

  /** @internal */
  runsOn(server: SessionServer | undefined): void {
    this.server = server;
    this.parent?.runsOn(server);
  }

  /** @internal */
  repeats(failed: TransactionObservation): void {
    if (failed instanceof TransactionEvent) this.retryOf = failed;
  }

  /** @internal */
  ended(outcome: TransactionOutcome, error?: unknown): void {
    if (this.outcome !== undefined) return;
    this.outcome = outcome;
    this.error = error;
    this.duration = performance.now() - this.startedAt;
    if (this.#progress === 'traced') TRACE.finish(this);
    this.#progress = 'ended';
  }
}
