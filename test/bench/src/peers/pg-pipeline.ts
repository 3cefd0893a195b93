import pg from 'pg';
import type { Account } from '../fixtures.js';
import { onlyRow } from './only-row.js';
import type { OpenPeer, PartialPeer } from './peer.js';
import { COUNT_VISIT, SELECT_ACCOUNT } from './statements.js';

/** `pg` with `pipeline: true`, its best form: callers share a client, and BEGIN is not waited for. */
class PgPipelinePeer implements PartialPeer {
  readonly #client: pg.Client;
  readonly #pool: pg.Pool;

  constructor(client: pg.Client, pool: pg.Pool) {
    this.#client = client;
    this.#pool = pool;
  }

  async selectById(id: number): Promise<Account> {
    const { rows } = await this.#client.query<Account>({ ...SELECT_ACCOUNT, values: [id] });
    return onlyRow(rows);
  }

  async visit(id: number): Promise<number> {
    const client = await this.#pool.connect();
    try {
      const begun = client.query({ name: 'begin', text: 'BEGIN' });
      const read = client.query<Account>({ ...SELECT_ACCOUNT, values: [id] });
      const [, { rows }] = await Promise.all([begun, read]);
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

  async close(): Promise<void> {
    await Promise.all([this.#client.end(), this.#pool.end()]);
  }
}

export const open: OpenPeer = async ({ url, connections }) => {
  const settings: pg.PoolConfig & { readonly pipeline: true } = { connectionString: url, pipeline: true };
  const client = new pg.Client(settings);
  await client.connect();
  return new PgPipelinePeer(client, new pg.Pool({ ...settings, max: connections }));
};
