import pg from 'pg';
import type { Account } from '../fixtures.js';
import { onlyRow } from './only-row.js';
import type { OpenPeer, PartialPeer } from './peer.js';
import { COUNT_VISIT, SELECT_ACCOUNT } from './statements.js';

/** `pg.Pool` as behind a pooler that knows no named statements. */
class PgPoolUnnamedPeer implements PartialPeer {
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  async selectById(id: number): Promise<Account> {
    const { rows } = await this.#pool.query<Account>(SELECT_ACCOUNT.text, [id]);
    return onlyRow(rows);
  }

  async visit(id: number): Promise<number> {
    const client = await this.#pool.connect();
    try {
      await client.query('BEGIN');
      const { rows } = await client.query<Account>(SELECT_ACCOUNT.text, [id]);
      await client.query(COUNT_VISIT.text, [id]);
      await client.query('COMMIT');
      return onlyRow(rows).balance;
    } catch (error) {
      await client.query('ROLLBACK');
      throw error;
    } finally {
      client.release();
    }
  }

  close(): Promise<void> {
    return this.#pool.end();
  }
}

export const open: OpenPeer = async ({ url, connections }) =>
  new PgPoolUnnamedPeer(new pg.Pool({ connectionString: url, max: connections }));
