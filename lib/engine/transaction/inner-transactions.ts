import type { StatementGate, WaitPolicy } from './statement-gate.js';
import { nestedBusy } from './transaction-errors.js';
import type { TransactionHost } from './transaction-host.js';

/** A transaction, as those inside it and around it see it. */
export interface TransactionLevel {
  readonly origin: string;
  expectUsable(): void;
  expectActive(): void;
  expectOnServer(): void;
  readonly isScoped: boolean;
  rollbackQuietly(): Promise<void>;
  cancel(): Promise<void>;
}

/**
 * What is inside one transaction: the nested one that holds its gate, from its first statement to its end,
 * and the handle in which statements of its owner run.
 */
export class InnerTransactions<Inner extends TransactionLevel> {
  readonly #outer: TransactionLevel;
  readonly #gate: StatementGate;
  readonly #host: TransactionHost;
  #child: Inner | undefined;
  #handle: Inner | undefined;

  constructor(outer: TransactionLevel, gate: StatementGate, host: TransactionHost) {
    this.#outer = outer;
    this.#gate = gate;
    this.#host = host;
  }

  /** The nested transaction that is inside now; its siblings wait. */
  get child(): Inner | undefined {
    return this.#child;
  }

  get handle(): Inner | undefined {
    return this.#handle;
  }

  /** Statements of the owner run in `handle` until that has ended. */
  enter(handle: Inner): void {
    this.#handle = handle;
  }

  /** `signal` ends the wait for the siblings in front of it. */
  admitChild(child: Inner, signal?: AbortSignal): Promise<void> | undefined {
    this.#outer.expectUsable();
    if (this.#child === child) return undefined;
    if (!this.#gate.lock.tryAcquire())
      return this.#gate.acquire(this.waitPolicy(child), signal).then(() => this.#start(child));
    this.#start(child);
    return undefined;
  }

  /** `child` has the gate, unless it must give it back. */
  #start(child: Inner): void {
    try {
      this.#outer.expectUsable();
      this.#outer.expectOnServer();
      child.expectActive();
    } catch (error) {
      this.#gate.lock.release();
      throw error;
    }
    this.#child = child;
  }

  release(child: Inner): void {
    if (this.#handle === child) this.#handle = undefined;
    if (this.#child !== child) return;
    this.#child = undefined;
    this.#gate.lock.release();
  }

  /**
   * Ends the one inside and waits for the statements that were issued. `keeps`: what belongs to a handle is
   * kept; a function that was not awaited is undone.
   */
  async end(keeps: boolean): Promise<void> {
    const child = this.#child;
    if (child !== undefined) await (keeps && child.isScoped ? child.rollbackQuietly() : child.cancel());
    if (!this.#gate.isQuiet) await this.#gate.drained();
  }

  // Siblings may take as long as they like; a wait is hopeless only when no statement runs on the connection.
  waitPolicy(waiting?: Inner): WaitPolicy {
    const timeout = this.#host.engine.nestedWaitTimeout;
    return {
      timeout,
      progress: () => this.#host.commandMark,
      refusal: () =>
        nestedBusy(timeout, {
          waiting: waiting?.origin,
          parent: this.#outer.origin,
          holder: this.#child?.origin,
        }),
    };
  }
}
