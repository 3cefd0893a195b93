import type { AnswerReceiver } from '../driver/driver.js';
import { runNextTurn, startLimit } from '../util/clock.js';
import { Mutex } from '../util/mutex.js';

/** How long a wait may last in which nothing progresses. */
export interface WaitPolicy {
  /** Milliseconds. */
  readonly timeout: number;
  /** Changes whenever something has progressed; undefined while something does. */
  progress(): number | undefined;
  /** The error that ends the wait. */
  refusal(): Error;
}

/** What a statement's end is told to. */
export interface StatementEnd {
  /** May throw: the statement fails with that. */
  answered(result: unknown): void;
  /** Gives what is thrown for `error`. */
  failed(error: unknown): unknown;
}

/**
 * The entrance to one transaction: open to all while it is active, and to one at a time while it is being
 * opened or while a nested transaction is inside. Closed for good once the transaction begins to end.
 */
export class StatementGate {
  /** Held by one statement or nested transaction, while others wait. */
  readonly lock = new Mutex();
  /** Set when the transaction begins to end: what waits for the lock must ask for it then. */
  isClosed = false;
  #inFlight = 0;
  #onDrained: (() => void) | undefined;

  /** True: the lock is free and no statement is in flight. */
  get isQuiet(): boolean {
    return !this.lock.isHeld && this.#inFlight === 0;
  }

  /** Waits for the lock as long as anything progresses and `signal` is not aborted. */
  async acquire(policy: WaitPolicy, signal?: AbortSignal): Promise<void> {
    if (!this.lock.tryAcquire()) await this.#waitForLock(policy, signal);
  }

  async #waitForLock(policy: WaitPolicy, signal: AbortSignal | undefined): Promise<void> {
    const abort = new AbortController();
    const ending = signal === undefined ? abort.signal : AbortSignal.any([abort.signal, signal]);
    let last = policy.progress();
    const check = (): void => {
      const now = policy.progress();
      if (now !== undefined && now === last) return abort.abort(policy.refusal());
      last = now;
      timer = startLimit(check, policy.timeout);
    };
    let timer = startLimit(check, policy.timeout);
    try {
      await this.lock.acquire({ signal: ending });
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Runs `work`, in flight until it settles, behind what `prepare` waits for. `holdsLock`: its end releases
   * the lock.
   */
  run<T>(
    end: StatementEnd,
    holdsLock: boolean,
    work: (receiver: AnswerReceiver) => Promise<T>,
    prepare?: () => Promise<unknown> | undefined,
  ): Promise<T> {
    this.#inFlight += 1;
    const passage = new Passage(this, end, holdsLock);
    let ready: Promise<unknown> | undefined;
    try {
      ready = prepare?.();
    } catch (error) {
      ready = Promise.reject(error);
    }
    if (ready === undefined) return this.#pass(passage, work);
    return ready.then(
      () => this.#pass(passage, work),
      (error: unknown) => {
        throw passage.failed(error);
      },
    );
  }

  #pass<T>(passage: Passage, work: (receiver: AnswerReceiver) => Promise<T>): Promise<T> {
    let answer: Promise<T>;
    try {
      answer = work(passage);
    } catch (error) {
      answer = Promise.reject(error);
    }
    if (passage.isTold) return answer;
    return answer.then(
      (result) => {
        passage.answered(result);
        return result;
      },
      (error: unknown) => {
        throw passage.failed(error);
      },
    );
  }

  /** For the end of a passage. */
  leave(holdsLock: boolean): void {
    this.#inFlight -= 1;
    if (this.#inFlight === 0) this.#onDrained?.();
    if (holdsLock) this.lock.release();
  }

  /**
   * Resolves when everything that came before is answered, and what waited for an answer has gone on: its
   * next statement is refused then, and told. For one caller at a time.
   */
  async drained(): Promise<void> {
    if (this.lock.isHeld) {
      await this.lock.acquire();
      this.lock.release();
    }
    if (this.#inFlight > 0)
      await new Promise<void>((resolve) => {
        this.#onDrained = resolve;
      });
    await new Promise((resolve) => runNextTurn(resolve));
  }
}

/** One statement on its way through the gate. The first end that it hears of counts. */
class Passage implements AnswerReceiver {
  isTold = false;
  #isOver = false;
  readonly #gate: StatementGate;
  readonly #end: StatementEnd;
  readonly #holdsLock: boolean;

  constructor(gate: StatementGate, end: StatementEnd, holdsLock: boolean) {
    this.#gate = gate;
    this.#end = end;
    this.#holdsLock = holdsLock;
  }

  answered(result: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    try {
      this.#end.answered(result);
    } finally {
      this.#gate.leave(this.#holdsLock);
    }
  }

  failed(error: unknown): unknown {
    if (this.#isOver) return error;
    this.#isOver = true;
    try {
      return this.#end.failed(error);
    } catch (thrown) {
      return thrown;
    } finally {
      this.#gate.leave(this.#holdsLock);
    }
  }
}

/** A transaction, as its gate knows it. */
interface Gated {
  readonly gate: StatementGate;
  readonly isActive: boolean;
  markRollbackOnly(cause: unknown): void;
}

/**
 * Refuses a statement that comes late. An end that is under way waits for what the same work has sent before,
 * which must not be stored without the rest.
 */
export function refuseLate(transaction: Gated | undefined, error: Error): never {
  if (transaction?.isActive === true && transaction.gate.isClosed) transaction.markRollbackOnly(error);
  throw error;
}
