import knex, { type Knex } from 'knex';
import type { Account, Happening, Measurement, WideRow } from '../fixtures.js';
import { onlyRow } from './only-row.js';
import { STREAM_BATCH, type OpenPeer, type PartialPeer } from './peer.js';

/** Rows of one INSERT, as `batchInsert` takes them. */
const INSERT_BATCH = 1_000;

class KnexPeer implements PartialPeer {
  readonly #knex: Knex;

  constructor(instance: Knex) {
    this.#knex = instance;
  }

  selectById(id: number): Promise<Account> {
    return selectById(this.#knex, id);
  }

  async selectWide(): Promise<readonly WideRow[]> {
    return await this.#knex<WideRow>('wide').select('*').orderBy('id');
  }

  visit(id: number): Promise<number> {
    return this.#knex.transaction(async (transaction) => {
      const { balance } = await selectById(transaction, id);
      await transaction('accounts').where({ id }).increment('visits', 1);
      return balance;
    });
  }

  nested(first: number, second: number): Promise<number> {
    return this.#knex.transaction(async (transaction) => {
      const one = await transaction.transaction((nested) => selectById(nested, first));
      const other = await transaction.transaction((nested) => selectById(nested, second));
      return one.balance + other.balance;
    });
  }

  async insertMany(rows: readonly Measurement[]): Promise<void> {
    await this.#knex.batchInsert<Measurement>('measurements', [...rows], INSERT_BATCH);
  }

  async stream(consume: (row: Happening) => void): Promise<void> {
    const rows = this.#knex('happenings')
      .select('id', 'kind', 'amount', 'note')
      .stream({ batchSize: STREAM_BATCH });
    for await (const row of rows) consume(row as Happening);
  }

  close(): Promise<void> {
    return this.#knex.destroy();
  }
}

async function selectById(knexOrTransaction: Knex, id: number): Promise<Account> {
  return onlyRow(await knexOrTransaction<Account>('accounts').select('id', 'name', 'balance').where({ id }));
}

export const open: OpenPeer = async ({ url, connections }) =>
  new KnexPeer(knex({ client: 'pg', connection: url, pool: { min: 0, max: connections } }));
