import { ResourceClosedError } from '../errors/errors.js';
import type { Batch, Control, Portal, RowShape } from '../driver/driver.js';
import type { Transaction } from '../transaction/transaction.js';

/** Where a cursor comes from. */
export interface PortalSource {
  /** Runs the first fetch with a signal that ends its wait for a connection. */
  wait<T>(work: (signal: AbortSignal | undefined) => Promise<T>): Promise<T>;
  open(control: readonly Control[]): Portal;
}

/**
 * A cursor whose every fetch is a statement of its transaction: it waits its turn, and a failure fails it.
 */
export class TransactionPortal implements Portal {
  readonly #transaction: Transaction;
  readonly #source: PortalSource;
  #portal: Portal | undefined;
  #state: 'open' | 'closed' = 'open';

  constructor(transaction: Transaction, source: PortalSource) {
    this.#transaction = transaction;
    this.#source = source;
  }

  get shape(): RowShape | undefined {
    return this.#portal?.shape;
  }

  fetch(count: number): Promise<Batch> {
    if (this.#portal !== undefined) return this.#fetch(count);
    return this.#source.wait((signal) => this.#fetch(count, signal));
  }

  #fetch(count: number, signal?: AbortSignal): Promise<Batch> {
    return this.#transaction.execute((control) => {
      // Closed while the fetch waited for its turn or for a connection.
      if (this.#state === 'closed')
        throw new ResourceClosedError('the cursor is closed. Run the statement again.');
      this.#portal ??= this.#source.open(control);
      return this.#portal.fetch(count);
    }, signal);
  }

  // Where the transaction has ended, the server has closed the portal with it.
  async close(): Promise<void> {
    this.#state = 'closed';
    if (this.#transaction.isActive) await this.#portal?.close();
  }
}
