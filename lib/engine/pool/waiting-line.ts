import { LinkedList, type ListNode } from '../util/linked-list.js';
import { onAbort } from '../util/on-abort.js';
import { asItIs, deadlineRule, functionRule, signalRule, type OptionRule } from '../util/option-rule.js';
import { OptionTable } from '../util/option-table.js';
import { WaitEnd, type EndListener, type WaitSignal } from '../util/wait-end.js';
import type { Holding } from './holder-activity.js';
import { PooledConnection } from './pooled-connection.js';
import { WaitLimits } from './wait-limits.js';

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

const loansRule: OptionRule = {
  expected: 'a list of pooled connections',
  accepts: (value) => Array.isArray(value) && value.every((loan) => loan instanceof PooledConnection),
  coerce: asItIs,
};

const CHECKOUT_OPTIONS = new OptionTable<Omit<CheckoutOptions, 'end'>>(
  'checkout',
  { timeout: deadlineRule, signal: signalRule, holding: loansRule, holdingNow: functionRule },
  'refused',
);

/** The options of one checkout; an ArgumentError for a wrong one. */
export function checkedCheckout(options: CheckoutOptions = {}): CheckoutOptions {
  return options instanceof EngineCheckout ? options : CHECKOUT_OPTIONS.parse(options);
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
  readonly holding?: readonly PooledConnection[] | undefined;
  /** The stack of the checkout. */
  readonly trace?: string | undefined;
}

const HOLDS_NOTHING: readonly PooledConnection[] = [];

/**
 * A caller that waits for a connection. Settles once, and then leaves no listener behind. There may be many
 * thousands: it has no closures of its own, and is its own place in the line.
 */
export class Waiter implements EndListener, ListNode<Waiter> {
  readonly promise: Promise<PooledConnection>;
  /** The stack of the checkout, where leaks are looked for. */
  readonly trace: string | undefined;
  /** Milliseconds; 0: no limit. */
  readonly timeout: number;
  readonly holding: readonly PooledConnection[];
  readonly joinedAt = performance.now();
  previous: ListNode<Waiter> | undefined;
  next: ListNode<Waiter> | undefined;
  readonly #line: WaitingLine;
  readonly #end: WaitEnd | undefined;
  readonly #ignoreSignal: (() => void) | undefined;
  #resolve!: (connection: PooledConnection) => void;
  #reject!: (reason: unknown) => void;
  #state: 'waiting' | 'settled' = 'waiting';
  #refused = 0;

  constructor({ signal, timeout, trace, holding = HOLDS_NOTHING }: Wait, line: WaitingLine) {
    this.trace = trace;
    this.timeout = timeout;
    this.holding = holding;
    this.#line = line;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (signal instanceof WaitEnd) (this.#end = signal).listen(this);
    else this.#ignoreSignal = signal && onAbort(signal, () => this.reject(signal.reason));
  }

  get value(): this {
    return this;
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

  /** Its own signal. */
  ended(reason: unknown): void {
    this.reject(reason);
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
    this.#end?.ignore(this);
    this.#ignoreSignal?.();
    this.#line.leave(this);
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
  readonly #limits: WaitLimits;

  /** `expired` makes what a wait ends with when its time, in ms, is over. */
  constructor(expired: (timeout: number) => Error) {
    this.#limits = new WaitLimits(this.#waiters, expired);
  }

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
    const waiter = new Waiter(wait, this);
    for (const loan of waiter.holding) this.#held.set(loan, (this.#held.get(loan) ?? 0) + 1);
    this.#waiters.append(waiter);
    this.size += 1;
    if (waiter.timeout > 0) this.#limits.add(waiter);
    return waiter;
  }

  /** The wait of `waiter` is over. */
  leave(waiter: Waiter): void {
    this.#waiters.remove(waiter);
    this.size -= 1;
    if (this.size === 0) this.#limits.stop();
    for (const loan of waiter.holding) this.#release(loan);
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
