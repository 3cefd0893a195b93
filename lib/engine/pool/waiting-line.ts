import { startLimit } from '../util/clock.js';
import { LinkedList } from '../util/linked-list.js';
import { WaitEnd, whenAborted, type WaitSignal } from '../util/wait-end.js';
import type { Holding } from './holder-activity.js';
import type { PooledConnection } from './pooled-connection.js';

/** What a caller may say about one checkout. */
export interface CheckoutOptions {
  /** Milliseconds to wait; the pool's `poolTimeout` when not given. 0: fail at once when the pool is full. */
  readonly timeout?: number | undefined;
  /** Ends the wait with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** The connections that this caller holds already: what tells a wait that cannot end from one that can. */
  readonly holding?: readonly PooledConnection[] | undefined;
  /** Gives the connections that the code which calls it holds, whichever that is. */
  readonly holdingNow?: Holding | undefined;
  /** The same as `signal`, which it stands for where both are there. @internal */
  readonly end?: WaitSignal | undefined;
}

/** A checkout of an engine. It has an AbortSignal for pools that know of nothing else. */
export class EngineCheckout implements CheckoutOptions {
  readonly holding: readonly PooledConnection[];
  readonly holdingNow: Holding;
  readonly end: WaitSignal | undefined;

  constructor(holding: readonly PooledConnection[], holdingNow: Holding, end: WaitSignal | undefined) {
    this.holding = holding;
    this.holdingNow = holdingNow;
    this.end = end;
  }

  get signal(): AbortSignal | undefined {
    return this.end instanceof WaitEnd ? this.end.signal : this.end;
  }
}

/** How one caller waits. */
export interface Wait {
  readonly signal?: WaitSignal | undefined;
  /** Milliseconds; 0: no limit. */
  readonly timeout: number;
  /** Connections on loan from this pool that the caller holds while it waits. */
  readonly holding?: readonly PooledConnection[];
  /** The stack of the checkout. */
  readonly trace?: string | undefined;
  /** What the wait ends with when its time is over. */
  expired(): Error;
}

/** A caller that waits for a connection. Settles once, and then leaves no listener behind. */
export class Waiter {
  readonly promise: Promise<PooledConnection>;
  /** The stack of the checkout, where leaks are looked for. */
  readonly trace: string | undefined;
  readonly joinedAt = performance.now();
  readonly #settled: () => void;
  readonly #ignoreSignal: (() => void) | undefined;
  #resolve!: (connection: PooledConnection) => void;
  #reject!: (reason: unknown) => void;
  #state: 'waiting' | 'settled' = 'waiting';
  #refused = 0;

  /** `settled` is called when the wait is over, in whatever way. */
  constructor(signal: WaitSignal | undefined, trace: string | undefined, settled: () => void) {
    this.trace = trace;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#settled = settled;
    this.#ignoreSignal = signal && whenAborted(signal, () => this.reject(signal.reason));
  }

  get isWaiting(): boolean {
    return this.#state === 'waiting';
  }

  /** False: the wait was over already, and the connection is still the pool's. */
  resolve(connection: PooledConnection): boolean {
    const isFirst = this.#settle();
    if (isFirst) this.#resolve(connection);
    return isFirst;
  }

  reject(reason: unknown): void {
    if (this.#settle()) this.#reject(reason);
  }

  /**
   * A listener of `checkout` has ended the connection that was meant for it; says how often that happened.
   */
  countRefusal(): number {
    this.#refused += 1;
    return this.#refused;
  }

  #settle(): boolean {
    if (this.#state === 'settled') return false;
    this.#state = 'settled';
    this.#ignoreSignal?.();
    this.#settled();
    return true;
  }
}

/** The callers that wait for a connection, in the order in which they came. */
export class WaitingLine {
  /** How many wait; changed here alone. */
  size = 0;
  readonly #waiters = new LinkedList<Waiter>();
  /** True while the line is longer than can be served in time. */
  servesNewest = false;
  readonly #held = new Map<PooledConnection, number>();

  get first(): Waiter | undefined {
    return this.#waiters.first;
  }

  /** The caller that is served next. */
  get next(): Waiter | undefined {
    return this.servesNewest ? this.#waiters.last : this.#waiters.first;
  }

  /** How many connections are held by callers in this line. */
  get heldConnections(): number {
    return this.#held.size;
  }

  /** The connections that are held by callers in this line. */
  get held(): Iterable<PooledConnection> {
    return this.#held.keys();
  }

  join(wait: Wait): Waiter {
    const holding = wait.holding ?? [];
    const waiter = new Waiter(wait.signal, wait.trace, () => {
      clearTimeout(timer);
      this.#waiters.remove(place);
      this.size -= 1;
      for (const loan of holding) this.#release(loan);
    });
    for (const loan of holding) this.#held.set(loan, (this.#held.get(loan) ?? 0) + 1);
    const expire = (): void => waiter.reject(wait.expired());
    const timer = wait.timeout > 0 ? startLimit(expire, wait.timeout) : undefined;
    const place = this.#waiters.push(waiter);
    this.size += 1;
    return waiter;
  }

  /** How many of the callers, counted up to `limit`, have joined at `time` or before. */
  countJoinedUntil(time: number, limit: number): number {
    let count = 0;
    if (limit === 0) return count;
    for (const { joinedAt } of this.#waiters) {
      if (joinedAt > time || count === limit) break;
      count += 1;
    }
    return count;
  }

  rejectAll(reason: unknown): void {
    while (this.#waiters.first !== undefined) this.#waiters.first.reject(reason);
  }

  /** `loan` has ended while its borrower may still wait. */
  forget(loan: PooledConnection): void {
    if (this.#held.size > 0) this.#held.delete(loan);
  }

  #release(loan: PooledConnection): void {
    const count = this.#held.get(loan);
    if (count === undefined) return;
    if (count > 1) this.#held.set(loan, count - 1);
    else this.#held.delete(loan);
  }
}
