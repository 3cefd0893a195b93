import pg from 'pg';
import type { Account, WideRow } from '../fixtures.js';
import { onlyRow } from './only-row.js';
import type { OpenPeer, PartialPeer } from './peer.js';
import { COUNT_VISIT, SELECT_ACCOUNT, SELECT_WIDE } from './statements.js';

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

  close(): Promise<void> {
    return this.#pool.end();
  }
}

export const open: OpenPeer = async ({ url, connections }) =>
  new PgPoolPeer(new pg.Pool({ connectionString: url, max: connections }));
