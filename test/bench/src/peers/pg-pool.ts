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

/** `pg.Pool` by hand: named statements, a client checked out for a transaction. */
class PgPoolPeer implements PartialPeer {
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  async selectById(id: number): Promise<Account> {
    const { rows } = await this.#pool.query<Account>({ ...SELECT_ACCOUNT, values: [id] });
    return onlyRow(rows);
  }

  async selectWide(): Promise<readonly WideRow[]> {
    return (await this.#pool.query<WideRow>(SELECT_WIDE)).rows;
  }

  async visit(id: number): Promise<number> {
    const client = await this.#pool.connect();
    try {
      await client.query({ name: 'begin', text: 'BEGIN' });
      const { rows } = await client.query<Account>({ ...SELECT_ACCOUNT, values: [id] });
      await client.query({ ...COUNT_VISIT, values: [id] });
      await client.query({ name: 'commit', text: 'COMMIT' });
      return onlyRow(rows).balance;
    } catch (error) {
      await client.query('ROLLBACK');
      throw error;
    } finally {
      client.release();
    }
  }

  async insertMany(rows: readonly Measurement[]): Promise<void> {
    await this.#pool.query({ ...INSERT_MEASUREMENTS, values: columnsOf(rows) });
  }

  async selectHappenings(): Promise<readonly Happening[]> {
    return (await this.#pool.query<Happening>(SELECT_HAPPENINGS)).rows;
  }

  async stream(consume: (row: Happening) => void): Promise<void> {
    const client = await this.#pool.connect();
    try {
      const cursor = client.query(new Cursor<Happening>(SELECT_HAPPENINGS));
      for (;;) {
        const rows = await cursor.read(STREAM_BATCH);
        if (rows.length === 0) break;
        for (const row of rows) consume(row);
      }
      await cursor.close();
    } finally {
      client.release();
    }
  }

  close(): Promise<void> {
    return this.#pool.end();
  }
}

export const open: OpenPeer = async ({ url, connections }) =>
  new PgPoolPeer(new pg.Pool({ connectionString: url, max: connections }));
