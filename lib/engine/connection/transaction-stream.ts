import type { Control, Portal } from '../driver/driver.js';
import type { StreamSource } from '../result/stream-source.js';
import { TransactionPortal } from './transaction-portal.js';
import type { Transaction } from '../transaction/transaction.js';

/** What a stream needs of its connection. */
export interface StreamHost {
  /** The transaction of whoever asks. */
  current(): Transaction | undefined;
  begin(): Transaction;
  /** True: nobody else will end a transaction that the stream has begun. */
  isAutocommit(): boolean;
  /** Runs the first fetch with a signal that ends its wait for a connection. */
  wait<T>(work: (signal: AbortSignal | undefined) => Promise<T>): Promise<T>;
  openPortal(control: readonly Control[], deadline: AbortSignal | undefined): Portal;
}

/**
 * A stream on a connection: in the transaction that was active when it was made, else in one begun by its
 * first pull.
 */
export class TransactionStream implements StreamSource {
  readonly #host: StreamHost;
  // Read at once: a stream is often consumed elsewhere, in another context.
  readonly #active: Transaction | undefined;
  #begun: Transaction | undefined;

  constructor(host: StreamHost) {
    this.#host = host;
    this.#active = host.current();
  }

  async open(): Promise<Portal> {
    const transaction = this.#active ?? this.#host.current() ?? this.#begin();
    return new TransactionPortal(transaction, {
      wait: (work) => this.#host.wait(work),
      open: (control) => this.#host.openPortal(control, transaction.deadline),
    });
  }

  #begin(): Transaction {
    const transaction = this.#host.begin();
    if (this.#host.isAutocommit()) this.#begun = transaction;
    return transaction;
  }

  async release(failure?: unknown): Promise<void> {
    if (this.#begun?.isActive !== true) return;
    await (failure === undefined ? this.#begun.commit() : this.#begun.rollback());
  }
}
