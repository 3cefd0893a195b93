import { makeConnection } from '../connection/connection.js';
import type { AsyncConnection } from '../connection/connection.js';
import type { ConnectionHost } from '../connection/connection-host.js';
import type { Batch, Portal, RowShape } from '../driver/driver.js';
import type { Invocation } from '../execution/invocation.js';
import type { StreamSource } from '../result/stream-source.js';
import type { Lease, Scope } from './scope.js';
import type { RootTransaction } from '../transaction/root-transaction.js';

/** A stream outside every transaction: it opens a read-only one of its own and ends it with itself. */
export class StandaloneStream implements StreamSource {
  readonly #invocation: Invocation;
  readonly #connection: AsyncConnection;
  readonly #scope: Scope | undefined;
  #transaction: RootTransaction<AsyncConnection> | undefined;
  #lease: Lease | undefined;

  constructor(source: ConnectionHost<AsyncConnection>, invocation: Invocation, scope: Scope | undefined) {
    this.#invocation = invocation;
    this.#connection = makeConnection(source, { mode: 'transaction' });
    this.#scope = scope;
  }

  async open(): Promise<Portal> {
    this.#transaction = this.#connection.core.beginTransaction({ readOnly: true }, true);
    if (this.#scope?.isOpen === true) this.#lease = this.#scope.lease();
    const portal = await this.#connection.core.openStream(this.#invocation).open();
    return new CancellingPortal(portal, this.#connection);
  }

  async release(failure?: unknown): Promise<void> {
    try {
      const hasFailed = failure !== undefined || this.#transaction?.state === 'failed';
      await (hasFailed ? this.#transaction?.rollback() : this.#transaction?.commit());
    } finally {
      await this.#connection.close();
      await this.#lease?.release();
    }
  }
}

/**
 * Closed while a fetch is under way, it cancels that fetch: the transaction is its own and nobody else's work
 * is lost.
 */
class CancellingPortal implements Portal {
  readonly #portal: Portal;
  readonly #connection: AsyncConnection;
  #fetches = 0;

  constructor(portal: Portal, connection: AsyncConnection) {
    this.#portal = portal;
    this.#connection = connection;
  }

  get shape(): RowShape | undefined {
    return this.#portal.shape;
  }

  async fetch(count: number): Promise<Batch> {
    this.#fetches += 1;
    try {
      return await this.#portal.fetch(count);
    } finally {
      this.#fetches -= 1;
    }
  }

  async close(): Promise<void> {
    if (this.#fetches > 0) await this.#connection.cancel();
    await this.#portal.close();
  }
}
