import { startLimit, unref } from '../util/clock.js';
import { HolderActivity, type Holding } from './holder-activity.js';
import { poolDeadlocked } from './pool-errors.js';
import type { Outside } from './pool-observer.js';
import type { Waiter, WaitingLine } from './waiting-line.js';

/**
 * A suspected deadlock is looked at so often, at such intervals in ms, before it counts as one: a holder that
 * does not wait for the connection it has asked for goes on meanwhile.
 */
const LOOKS = 5;
const INTERVAL = 100;

/** Ends a wait for a connection when each one stays with a caller that waits, and does nothing else. */
export class DeadlockDetector {
  readonly #line: WaitingLine;
  readonly #onLoan: () => number | undefined;
  readonly #outsideOfRequests: Outside;
  #activity: HolderActivity | undefined;

  /** `onLoan`: how many connections are on loan where these are all that may exist; otherwise undefined. */
  constructor(line: WaitingLine, onLoan: () => number | undefined, outsideOfRequests: Outside) {
    this.#line = line;
    this.#onLoan = onLoan;
    this.#outsideOfRequests = outsideOfRequests;
  }

  /** True: callers in line hold all connections. They may still do something else meanwhile. */
  get isSuspected(): boolean {
    return this.#line.heldConnections === this.#onLoan();
  }

  error(): Error {
    return poolDeadlocked(this.#line.heldConnections);
  }

  /** A caller waits. `holding` tells which connections the code that runs holds. */
  watch(waiter: Waiter, holding: Holding = () => []): void {
    if (!this.isSuspected) return;
    const activity = (this.#activity ??= new HolderActivity(holding));
    activity.start();
    this.#outsideOfRequests(() => this.#lookLater(waiter, activity, LOOKS));
  }

  #lookLater(waiter: Waiter, activity: HolderActivity, looks: number): void {
    const look = (): void => {
      const isSuspected = waiter.isWaiting && this.isSuspected;
      const isStill = isSuspected && this.#areHoldersStill(activity);
      if (isStill && looks === 1) waiter.reject(this.error());
      else if (isSuspected) return this.#lookLater(waiter, activity, isStill ? looks - 1 : LOOKS);
      activity.stop();
    };
    unref(startLimit(look, INTERVAL));
  }

  #areHoldersStill(activity: HolderActivity): boolean {
    const held = [...this.#line.held];
    const isIdle = held.every((loan) => loan.isValid && loan.session.isQuiet);
    return isIdle && !activity.isWaitingElsewhere(held);
  }
}
