import type { ConnectionOptions } from './connection-options.js';
import type { ConnectionSession } from './connection-session.js';
import { SessionPortal } from './session-portal.js';
import type {
  Batch,
  CommandList,
  Control,
  CsvField,
  Portal,
  RowShape,
  WantedRows,
} from '../driver/driver.js';
import { ArgumentError, ResourceClosedError } from '../errors/errors.js';
import { observedOptions, type Invocation } from '../execution/invocation.js';
import type { StreamSource } from '../result/stream-source.js';
import type { ConnectionTransactions } from '../transaction/connection-transactions.js';
import type { Transaction } from '../transaction/transaction.js';
import { CallSite } from '../util/call-site.js';

/** The parts of a connection that its streams run on. */
export interface StreamParts {
  readonly session: ConnectionSession<unknown>;
  readonly options: ConnectionOptions;
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
  /** Taken at once, too: behind an await the user's code is not on the stack. Undefined with `#active`. */
  readonly #place: CallSite | undefined;
  readonly #isAlone: boolean;
  #begun: Transaction | undefined;

  /** `isAlone`: nothing else uses the connection, so that closing may cancel the fetch that runs. */
  constructor(parts: StreamParts, invocation: Invocation, isAlone: boolean) {
    if (invocation.settings !== undefined && !isAlone) throw settingsOfAStream();
    this.#isAlone = isAlone;
    this.#parts = parts;
    this.#invocation = invocation;
    const active = parts.transactions.current();
    if (active?.isAutocommit === false) this.#active = active;
    else this.#place = new CallSite();
  }

  async open(): Promise<Portal> {
    this.#parts.session.expectNotClosed();
    await this.#parts.options.settle(this.#invocation.options.signal);
    const transaction = this.#active ?? this.#begin();
    return new TransactionPortal(transaction, this.#parts.session, this.#invocation, this.#isAlone);
  }

  #begin(): Transaction {
    const { transaction, isOwn } = this.#parts.transactions.forStream(this.#place);
    // Nothing else would end it.
    if (isOwn) this.#begun = transaction;
    return transaction;
  }

  async release(failure?: unknown): Promise<void> {
    if (this.#begun?.isActive !== true) return;
    await (failure === undefined ? this.#begun.commit() : this.#begun.rollback());
  }
}

/** A cursor whose fetches are statements of its transaction: each waits its turn, and a failure fails it. */
class TransactionPortal implements Portal {
  readonly #transaction: Transaction;
  readonly #session: ConnectionSession<unknown>;
  readonly #invocation: Invocation;
  readonly #isAlone: boolean;
  readonly #portal: SessionPortal;
  #state: 'open' | 'closed' = 'open';
  #fetches = 0;

  constructor(
    transaction: Transaction,
    session: ConnectionSession<unknown>,
    invocation: Invocation,
    isAlone: boolean,
  ) {
    this.#transaction = transaction;
    this.#session = session;
    this.#invocation = invocation;
    this.#isAlone = isAlone;
    this.#portal = new SessionPortal(session);
  }

  get shape(): RowShape | undefined {
    return this.#portal.shape;
  }

  async fetch(count: number, csv?: CsvField): Promise<Batch> {
    const wanted = { count, csv };
    this.#session.expectNotClosed();
    const { observer } = this.#invocation;
    this.#fetches += 1;
    try {
      const open = (): Promise<Batch> =>
        this.#invocation.waitForPortal((end) => this.#fetch(wanted, end?.signal));
      const batch = await (this.#portal.isOpen
        ? this.#fetch(wanted)
        : observer === undefined
          ? open()
          : observer.beginStream(open));
      if (batch.done) observer?.ended();
      return batch;
    } catch (error) {
      observer?.ended(error);
      throw error;
    } finally {
      this.#fetches -= 1;
    }
  }

  #fetch(wanted: WantedRows, signal?: AbortSignal): Promise<Batch> {
    return this.#transaction.execute((control) => {
      // Closed while the fetch waited for its turn or for a connection.
      if (this.#state === 'closed')
        throw new ResourceClosedError('the cursor is closed. Run the statement again.');
      return this.#portal.isOpen
        ? this.#portal.fetch(wanted, this.#invocation.observer)
        : this.#fetchFirst(control, wanted);
    }, signal);
  }

  /** Sends the statement with its first fetch, which is what observers are told of. */
  async #fetchFirst(control: readonly Control[], wanted: WantedRows): Promise<Batch> {
    const { command, observer, options } = this.#invocation;
    const limits = this.#invocation.commandOptions(this.#transaction.deadline, options.timeout);
    const told = observer === undefined ? limits : observedOptions(observer, limits);
    const send = ([sent = command]: CommandList): Promise<Batch> =>
      this.#portal.fetchFirst({ control, command: sent, options: told }, wanted, observer);
    if (observer === undefined) return await send([]);
    observer.runsIn(this.#transaction);
    const batch = await observer.run([command], send, this.#session.pooled?.session);
    observer.finished({ rowCount: -1, shape: this.shape });
    return batch;
  }

  // Where the transaction has ended, the server has closed the portal with it.
  async close(): Promise<void> {
    this.#state = 'closed';
    this.#invocation.observer?.ended();
    if (this.#isAlone && this.#fetches > 0) await this.#session.cancel();
    if (this.#transaction.isActive) await this.#portal.close();
  }
}

function settingsOfAStream(): ArgumentError {
  return new ArgumentError(
    'a stream in a transaction cannot have settings of its own: other statements run beside it. Set them on the transaction, ' +
      'or use engine.stream() outside of it.',
  );
}
