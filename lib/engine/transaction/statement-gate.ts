import { Mutex } from '../util/mutex.js';
import { promiseTry } from '../util/promise-try.js';

/** How long a wait may last in which nothing moves. */
export interface Patience {
  /** Milliseconds. */
  readonly timeout: number;
  /** Changes whenever something has moved; undefined while something does. */
  mark(): number | undefined;
  /** What the wait is ended with. */
  refusal(): Error;
}

/**
 * The way into one transaction: open to all while it is active, and the turn of one at a time while it is
 * being opened or while a nested transaction is inside. Shut for good once the transaction begins to end.
 */
export class StatementGate {
  readonly #lock = new Mutex();
  #state: 'open' | 'shut' = 'open';
  #inFlight = 0;
  #onQuiet: (() => void) | undefined;

  /** True: somebody has the turn and others wait. */
  get isTaken(): boolean {
    return this.#lock.isHeld;
  }

  get isShut(): boolean {
    return this.#state === 'shut';
  }

  /** True: nobody has the turn and nothing is in flight. */
  get isQuiet(): boolean {
    return !this.#lock.isHeld && this.#inFlight === 0;
  }

  /** Takes the turn if it is free, and says so. */
  tryTurn(): boolean {
    return this.#lock.tryAcquire();
  }

  /** Waits for the turn, as long as anything moves in front of it and `signal` is not aborted. */
  async takeTurn(patience: Patience, signal?: AbortSignal): Promise<void> {
    if (!this.#lock.tryAcquire()) await this.#waitForTurn(patience, signal);
  }

  async #waitForTurn(patience: Patience, signal: AbortSignal | undefined): Promise<void> {
    const abort = new AbortController();
    const ending = signal === undefined ? abort.signal : AbortSignal.any([abort.signal, signal]);
    let last = patience.mark();
    const check = (): void => {
      const now = patience.mark();
      if (now !== undefined && now === last) return abort.abort(patience.refusal());
      last = now;
      timer = setTimeout(check, patience.timeout);
    };
    let timer = setTimeout(check, patience.timeout);
    try {
      await this.#lock.acquire(ending);
    } finally {
      clearTimeout(timer);
    }
  }

  giveTurn(): void {
    this.#lock.release();
  }

  /** Who waits for a turn still gets it; what it is good for then, he must ask. */
  shut(): void {
    this.#state = 'shut';
  }

  /**
   * Runs `work`, in flight until it settles; `failed` gives what is thrown for its error. True: with its end
   * goes the turn.
   */
  pass<T>(work: () => Promise<T>, failed: (error: unknown) => unknown, hasTurn = false): Promise<T> {
    this.#inFlight += 1;
    return promiseTry(work).then(
      (result) => {
        this.#leave(hasTurn);
        return result;
      },
      (error: unknown) => {
        const thrown = failed(error);
        this.#leave(hasTurn);
        throw thrown;
      },
    );
  }

  #leave(hasTurn: boolean): void {
    this.#inFlight -= 1;
    if (this.#inFlight === 0) this.#onQuiet?.();
    if (hasTurn) this.giveTurn();
  }

  /**
   * Resolves when everything that came before has had its turn and nothing is in flight. For one caller at a
   * time.
   */
  async quiet(): Promise<void> {
    if (this.#lock.isHeld) {
      await this.#lock.acquire();
      this.#lock.release();
    }
    if (this.#inFlight === 0) return;
    await new Promise<void>((resolve) => {
      this.#onQuiet = resolve;
    });
  }
}
