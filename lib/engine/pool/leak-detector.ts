import type { EngineLogger } from '../util/logger.js';
import type { ConnectionRecord } from './connection-record.js';
import type { PooledConnection } from './pooled-connection.js';
import { unref } from '../util/clock.js';

/** The connections on loan: a Set of them, or a {@link LeakDetector}. */
export interface CheckedOutConnections extends Iterable<PooledConnection> {
  readonly size: number;
  add(loan: PooledConnection, record: ConnectionRecord, trace: string | undefined): unknown;
  delete(loan: PooledConnection): unknown;
  has(loan: PooledConnection): boolean;
}

interface LeakOptions {
  /** Milliseconds after which a loan is reported; 0: never, only what was garbage-collected is. */
  readonly threshold: number;
  readonly logger: EngineLogger;
  readonly poolName: () => string;
  /** Ends the loan of a connection whose borrower was garbage-collected. */
  reclaim(record: ConnectionRecord): void;
  /** Runs `work` outside the async context of the borrower. */
  outsideOfRequests<T>(work: () => T): T;
}

interface Entry {
  readonly loan: WeakRef<PooledConnection>;
  readonly record: ConnectionRecord;
  readonly trace: string | undefined;
  readonly since: number;
}

/**
 * The connections on loan, held weakly, so that one whose borrower was garbage-collected is found: it is
 * reported with the stack of its checkout, and its place is freed. One that is held for too long is reported
 * once.
 */
export class LeakDetector implements CheckedOutConnections {
  readonly #options: LeakOptions;
  readonly #entries = new Set<Entry>();
  readonly #entryOf = new WeakMap<PooledConnection, Entry>();
  /** Not reported yet, the oldest first. */
  readonly #unreported = new Set<Entry>();
  readonly #collected = new FinalizationRegistry<Entry>((entry) => this.#onCollected(entry));
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LeakOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  add(loan: PooledConnection, record: ConnectionRecord, trace: string | undefined): void {
    const entry: Entry = { loan: new WeakRef(loan), record, trace, since: performance.now() };
    this.#entries.add(entry);
    this.#entryOf.set(loan, entry);
    this.#collected.register(loan, entry, entry);
    if (this.#options.threshold === 0) return;
    this.#unreported.add(entry);
    if (this.#timer === undefined) this.#schedule();
  }

  delete(loan: PooledConnection): void {
    const entry = this.#entryOf.get(loan);
    if (entry === undefined) return;
    this.#collected.unregister(entry);
    this.#forget(entry);
  }

  has(loan: PooledConnection): boolean {
    const entry = this.#entryOf.get(loan);
    return entry !== undefined && this.#entries.has(entry);
  }

  *[Symbol.iterator](): IterableIterator<PooledConnection> {
    for (const { loan } of this.#entries) {
      const present = loan.deref();
      if (present !== undefined) yield present;
    }
  }

  #forget(entry: Entry): void {
    this.#entries.delete(entry);
    this.#unreported.delete(entry);
    if (this.#unreported.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #onCollected(entry: Entry): void {
    this.#forget(entry);
    this.#report(
      'was never returned and was garbage-collected: its session was ended and its place is free',
      entry,
    );
    this.#options.reclaim(entry.record);
  }

  /** One timer for all, which does not keep the process alive. */
  #schedule(): void {
    const [oldest] = this.#unreported;
    if (oldest === undefined) return;
    const remaining = oldest.since + this.#options.threshold - performance.now();
    this.#options.outsideOfRequests(() => {
      this.#timer = unref(setTimeout(() => this.#reportLate(), Math.max(1, Math.ceil(remaining))));
    });
  }

  #reportLate(): void {
    this.#timer = undefined;
    const { threshold } = this.#options;
    for (const entry of this.#unreported) {
      if (entry.since + threshold > performance.now()) break;
      this.#unreported.delete(entry);
      this.#report(`has been on loan for more than ${threshold} ms and is still out`, entry);
    }
    this.#schedule();
  }

  #report(happened: string, { record, trace = '    an unknown place' }: Entry): void {
    this.#options.logger.warn(
      `a connection of the ${this.#options.poolName()} (server process ${record.session.processId ?? 'unknown'}) ${happened}. ` +
        `Close it in a finally block, or take it with "await using" or a callback. It was taken at:\n${trace}`,
    );
  }
}
