import type { TransactionEndedError } from '../errors/errors.js';
import { transactionEnded } from '../transaction/transaction-errors.js';

/** What a unit needs of its scope. */
interface UnitScope {
  readonly origin: string;
  complete(): Promise<void>;
  fail(): Promise<boolean>;
}

/**
 * One run of a scope's work: of a handler, a job, a message. Its end commits or rolls back the scope's
 * transaction. From then on, what the run left behind, such as a step of a `Promise.all`, is refused; what
 * runs in the scope beside it, such as an exception filter, commits each statement by itself.
 */
export class UnitOfWork {
  readonly #scope: UnitScope;
  readonly #enter: <T>(work: () => T) => T;
  readonly #outer: UnitOfWork | undefined;
  /** `closed`: it has ended, and with it a transaction. `ended`: there was no transaction. */
  #state: 'open' | 'ended' | 'closed' = 'open';

  /** @internal */
  constructor(scope: UnitScope, bind: (unit: UnitOfWork) => <T>(work: () => T) => T, outer?: UnitOfWork) {
    this.#scope = scope;
    this.#outer = outer;
    this.#enter = bind(this);
  }

  /** True until it was completed or has failed. */
  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** Runs `work` as a part of this unit. May be called many times. */
  run<T>(work: () => T): T {
    return this.#enter(work);
  }

  /** The work has succeeded: commits the scope's transaction, where there is one. Idempotent. */
  async complete(): Promise<void> {
    if (this.isOpen) await this.#scope.complete();
  }

  /**
   * The work has failed: rolls the scope's transaction back. Idempotent.
   *
   * @returns true when there was something to undo
   */
  async fail(): Promise<boolean> {
    return this.isOpen && (await this.#scope.fail());
  }

  /** The scope has ended it. Without a transaction, late work commits itself. @internal */
  end(hadTransaction: boolean): void {
    if (this.isOpen) this.#state = hadTransaction ? 'closed' : 'ended';
  }

  /** What refuses late work, once its transaction has ended. @internal */
  get closedError(): TransactionEndedError | undefined {
    return this.#state === 'closed' ? transactionEnded(this.#scope.origin) : this.#outer?.closedError;
  }
}
