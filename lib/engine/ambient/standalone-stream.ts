import { makeConnection, type AsyncConnection } from '../connection/connection.js';
import type { ConnectionHost } from '../connection/connection-host.js';
import type { Portal } from '../driver/driver.js';
import type { Invocation } from '../execution/invocation.js';
import type { StreamSource } from '../result/stream-source.js';
import type { AmbientContext } from './async-context.js';
import type { Lease, Scope } from './scope.js';
import type { RootTransaction } from '../transaction/root-transaction.js';

/** A stream outside every transaction: it opens a read-only one of its own and ends it with itself. */
export class StandaloneStream implements StreamSource {
  readonly #invocation: Invocation;
  readonly #connection: AsyncConnection;
  readonly #scope: Scope | undefined;
  /** Of the code that made it, which reads it, as far as is known. */
  readonly #holders: Set<AsyncConnection>;
  #transaction: RootTransaction<AsyncConnection> | undefined;
  #lease: Lease | undefined;

  constructor(source: ConnectionHost<AsyncConnection>, ambient: AmbientContext, invocation: Invocation) {
    this.#invocation = invocation;
    this.#connection = makeConnection(source, { mode: 'transaction' });
    this.#scope = ambient.current?.scope;
    this.#holders = ambient.streams;
  }

  async open(): Promise<Portal> {
    const { readOnly: asked = this.#scope?.asked.readOnly, settings } = this.#invocation.options;
    const readOnly = typeof asked === 'object' ? await asked : asked;
    // Its transaction is read-only in any case; only what says so itself goes to a replica.
    const server = readOnly === true ? undefined : 'primary';
    this.#transaction = this.#connection.core.transactions.begin({ readOnly: true, server, settings }, true);
    this.#holders.add(this.#connection);
    if (this.#scope?.isOpen === true) this.#lease = this.#scope.lease();
    return await this.#connection.core.openStream(this.#invocation, true).open();
  }

  async release(failure?: unknown): Promise<void> {
    try {
      const hasFailed = failure !== undefined || this.#transaction?.state === 'failed';
      await (hasFailed ? this.#transaction?.rollback() : this.#transaction?.commit());
    } finally {
      this.#holders.delete(this.#connection);
      await this.#connection.close();
      await this.#lease?.release();
    }
  }
}
