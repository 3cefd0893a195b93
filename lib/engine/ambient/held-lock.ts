/** A named lock of the database, as the work that runs under it knows it. */
export class HeldLock {
  readonly name: string;
  /** Aborted when the lock is lost, or its work has to end. */
  readonly signal: AbortSignal;
  #state: 'held' | 'lost' | 'released' = 'held';
  readonly #loss = new AbortController();

  /** Its signal is also aborted when one of `others` is. */
  constructor(name: string, others: readonly (AbortSignal | undefined)[]) {
    this.name = name;
    const given = others.filter((signal) => signal !== undefined);
    this.signal = given.length === 0 ? this.#loss.signal : AbortSignal.any([this.#loss.signal, ...given]);
  }

  /** False for what its work has left running. */
  get isHeld(): boolean {
    return this.#state !== 'released';
  }

  /** Another instance may have the lock now. */
  lose(reason: Error): void {
    if (this.#state !== 'held') return;
    this.#state = 'lost';
    this.#loss.abort(reason);
  }

  /** @throws what the lock was lost by. */
  expectHeld(): void {
    this.#loss.signal.throwIfAborted();
  }

  release(): void {
    this.#state = 'released';
  }
}
