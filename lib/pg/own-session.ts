import type { Client } from 'pg';
import type { DriverConnection, PooledConnection, ServerStatus } from '../engine/index.js';
import type { ClientSession, ControlAnswer, ControlStatement } from './client-session.js';

const STATUS: Readonly<Record<ServerStatus, 'I' | 'T' | 'E'>> = { idle: 'I', open: 'T', failed: 'E' };

/** A connection of the pool that a client has for itself. */
export class OwnSession implements ClientSession {
  readonly pooled: PooledConnection;
  readonly #session: DriverConnection;

  constructor(pooled: PooledConnection) {
    this.pooled = pooled;
    this.#session = pooled.session;
  }

  get client(): Client {
    return this.#session.client as Client;
  }

  get isPart(): boolean {
    return this.#session.isPart === true;
  }

  get transactionStatus(): 'I' | 'T' | 'E' {
    return STATUS[this.#session.status];
  }

  /** True: the next borrower gets it as it is. */
  get isUnchanged(): boolean {
    return this.#session.changes?.isEmpty !== false;
  }

  lend(use: (client: Client) => void): Promise<unknown> {
    return this.#session.lend([], (client) => use(client as Client));
  }

  async control({ text }: ControlStatement): Promise<ControlAnswer> {
    const { command } = await this.#session.execute([], { text, prepare: false });
    return { tag: command };
  }

  async end(failure: unknown): Promise<void> {
    if (failure !== undefined) this.pooled.invalidate(failure);
    await this.pooled.close();
  }
}
