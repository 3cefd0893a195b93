import { ResourceClosedError } from '../errors.js';
import type { Batch, Control, Portal, RowShape } from '../driver/driver.js';
import type { Transaction } from './transaction.js';

/** A cursor whose every fetch is a statement of its transaction: it waits its turn, and a failure fails it. */
export class TransactionPortal implements Portal {
  readonly #transaction: Transaction;
  readonly #open: (control: readonly Control[]) => Portal;
  #portal: Portal | undefined;
  #state: 'open' | 'closed' = 'open';

  constructor(transaction: Transaction, open: (control: readonly Control[]) => Portal) {
    this.#transaction = transaction;
    this.#open = open;
  }

  get shape(): RowShape | undefined {
    return this.#portal?.shape;
  }

  fetch(count: number): Promise<Batch> {
    return this.#transaction.execute((control) => {
      // Closed while the fetch waited for its turn or for a connection.
      if (this.#state === 'closed')
        throw new ResourceClosedError('the cursor is closed. Run the statement again.');
      this.#portal ??= this.#open(control);
      return this.#portal.fetch(count);
    });
  }

  // Where the transaction has ended, the server has closed the portal with it.
  async close(): Promise<void> {
    this.#state = 'closed';
    if (this.#transaction.isActive) await this.#portal?.close();
  }
}
