import type { Pool, PoolClient } from 'pg';
import ClientPg from 'knex/lib/dialects/postgres/index.js';
import knex, { type Knex } from 'knex';

/** Knex over a pool of `pg`, in place of its own. */
export function knexOver(pool: Pool, Base: new (config: object) => object = ClientPg): Knex {
  class PoolClientOfKnex extends Base {
    acquireConnection(): Promise<PoolClient> {
      return pool.connect();
    }

    async releaseConnection(client: PoolClient): Promise<void> {
      client.release();
    }
  }
  return knex({ client: PoolClientOfKnex as never });
}
