import { makeConnection } from '../connection/connection.js';
import type { AsyncConnection } from '../connection/connection.js';
import type { ConnectionHost } from '../connection/connection-host.js';
import type { Portal } from '../driver/driver.js';
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
    return await this.#connection.core.openStream(this.#invocation, true).open();
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
