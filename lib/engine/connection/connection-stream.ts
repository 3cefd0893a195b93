import type { ConnectionSession } from './connection-session.js';
import type { Batch, Control, Portal, RowShape } from '../driver/driver.js';
import { ResourceClosedError } from '../errors/errors.js';
import type { Invocation } from '../execution/invocation.js';
import type { StreamSource } from '../result/stream-source.js';
import type { ConnectionTransactions } from '../transaction/connection-transactions.js';
import type { Transaction } from '../transaction/transaction.js';

/** The parts of a connection that its streams run on. */
export interface StreamParts {
  readonly session: ConnectionSession<unknown>;
  readonly transactions: ConnectionTransactions<unknown>;
}

/**
 * A stream on a connection: in the transaction that was active when it was made, else in one begun by its
 * first pull.
 */
export class ConnectionStream implements StreamSource {
  readonly #parts: StreamParts;
  readonly #invocation: Invocation;
  // Read at once: a stream is often consumed elsewhere, in another context.
  readonly #active: Transaction | undefined;
  #begun: Transaction | undefined;

  constructor(parts: StreamParts, invocation: Invocation) {
    this.#parts = parts;
    this.#invocation = invocation;
    const active = parts.transactions.current();
    if (active?.isAutocommit === false) this.#active = active;
  }

  async open(): Promise<Portal> {
    const transaction = this.#active ?? this.#begin();
    return new TransactionPortal(transaction, this.#invocation, (control) =>
      this.#invocation.openPortal(this.#parts.session, control, transaction.deadline),
    );
  }

  #begin(): Transaction {
    const { transaction, isOwn } = this.#parts.transactions.forStream();
    // Nothing else would end it.
    if (isOwn) this.#begun = transaction;
    return transaction;
  }

  async release(failure?: unknown): Promise<void> {
    if (this.#begun?.isActive !== true) return;
    await (failure === undefined ? this.#begun.commit() : this.#begun.rollback());
  }
}

/**
 * A cursor whose every fetch is a statement of its transaction: it waits its turn, and a failure fails it.
 */
class TransactionPortal implements Portal {
  readonly #transaction: Transaction;
  readonly #invocation: Invocation;
  readonly #open: (control: readonly Control[]) => Portal;
  #portal: Portal | undefined;
  #state: 'open' | 'closed' = 'open';

  constructor(
    transaction: Transaction,
    invocation: Invocation,
    open: (control: readonly Control[]) => Portal,
  ) {
    this.#transaction = transaction;
    this.#invocation = invocation;
    this.#open = open;
  }

  get shape(): RowShape | undefined {
    return this.#portal?.shape;
  }

  fetch(count: number): Promise<Batch> {
    if (this.#portal !== undefined) return this.#fetch(count);
    return this.#invocation.waitForPortal((signal) => this.#fetch(count, signal));
  }

  #fetch(count: number, signal?: AbortSignal): Promise<Batch> {
    return this.#transaction.execute((control) => {
      // Closed while the fetch waited for its turn or for a connection.
      if (this.#state === 'closed')
        throw new ResourceClosedError('the cursor is closed. Run the statement again.');
      this.#portal ??= this.#open(control);
      return this.#portal.fetch(count);
    }, signal);
  }

  // Where the transaction has ended, the server has closed the portal with it.
  async close(): Promise<void> {
    this.#state = 'closed';
    if (this.#transaction.isActive) await this.#portal?.close();
  }
}
