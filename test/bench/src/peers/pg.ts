import pg from 'pg';
import Cursor from 'pg-cursor';
import type { Account, Happening, Measurement, WideRow } from '../fixtures.js';
import { onlyRow } from './only-row.js';
import { STREAM_BATCH, type OpenPeer, type PartialPeer } from './peer.js';
import {
  columnsOf,
  COUNT_VISIT,
  INSERT_MEASUREMENTS,
  SELECT_ACCOUNT,
  SELECT_HAPPENINGS,
  SELECT_WIDE,
} from './statements.js';

/** `pg` by hand: one client that the caller keeps, every statement a named one. */
class PgPeer implements PartialPeer {
  readonly #client: pg.Client;

  constructor(client: pg.Client) {
    this.#client = client;
  }

  async selectById(id: number): Promise<Account> {
    const { rows } = await this.#client.query<Account>({ ...SELECT_ACCOUNT, values: [id] });
    return onlyRow(rows);
  }

  async selectWide(): Promise<readonly WideRow[]> {
    return (await this.#client.query<WideRow>(SELECT_WIDE)).rows;
  }

  visit(id: number): Promise<number> {
    return this.#transaction(async () => {
      const { balance } = await this.selectById(id);
      await this.#client.query({ ...COUNT_VISIT, values: [id] });
      return balance;
    });
  }

  nested(first: number, second: number): Promise<number> {
    return this.#transaction(async () => (await this.#savepoint(first)) + (await this.#savepoint(second)));
  }

  async insertMany(rows: readonly Measurement[]): Promise<void> {
    await this.#client.query({ ...INSERT_MEASUREMENTS, values: columnsOf(rows) });
  }

  async stream(consume: (row: Happening) => void): Promise<void> {
    const cursor = this.#client.query(new Cursor<Happening>(SELECT_HAPPENINGS));
    for (;;) {
      const rows = await cursor.read(STREAM_BATCH);
      if (rows.length === 0) break;
      for (const row of rows) consume(row);
    }
    await cursor.close();
  }

  close(): Promise<void> {
    return this.#client.end();
  }

  async #transaction<T>(work: () => Promise<T>): Promise<T> {
    await this.#client.query({ name: 'begin', text: 'BEGIN' });
    try {
      const result = await work();
      await this.#client.query({ name: 'commit', text: 'COMMIT' });
      return result;
    } catch (error) {
      await this.#client.query('ROLLBACK');
      throw error;
    }
  }

  async #savepoint(id: number): Promise<number> {
    await this.#client.query({ name: 'savepoint', text: 'SAVEPOINT nested' });
    try {
      const { balance } = await this.selectById(id);
      await this.#client.query({ name: 'release', text: 'RELEASE SAVEPOINT nested' });
      return balance;
    } catch (error) {
      await this.#client.query('ROLLBACK TO SAVEPOINT nested');
      throw error;
    }
  }
}

export const open: OpenPeer = async ({ url }) => {
  const client = new pg.Client(url);
  await client.connect();
  return new PgPeer(client);
};
