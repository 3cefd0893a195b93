import type { Batch, Control, Portal, RowShape } from '../driver/driver.js';
import type { Transaction } from './transaction.js';

/** A cursor whose every fetch is a statement of its transaction: it waits its turn, and a failure fails it. */
export class TransactionPortal implements Portal {
  readonly #transaction: Transaction;
  readonly #open: (control: readonly Control[]) => Portal;
  #portal: Portal | undefined;

  constructor(transaction: Transaction, open: (control: readonly Control[]) => Portal) {
    this.#transaction = transaction;
    this.#open = open;
  }

  get shape(): RowShape | undefined {
    return this.#portal?.shape;
  }

  fetch(count: number): Promise<Batch> {
    return this.#transaction.execute((control) => {
      this.#portal ??= this.#open(control);
      return this.#portal.fetch(count);
    });
  }

  // Where the transaction has ended, the server has closed the portal with it.
  async close(): Promise<void> {
    if (this.#transaction.isActive) await this.#portal?.close();
  }
}
