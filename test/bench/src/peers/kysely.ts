import { Kysely, PostgresDialect, type ControlledTransaction, type Generated } from 'kysely';
import pg from 'pg';
import Cursor from 'pg-cursor';
import type { Account, Happening, Measurement, WideRow } from '../fixtures.js';
import { STREAM_BATCH, type OpenPeer, type PartialPeer } from './peer.js';

interface Tables {
  readonly accounts: Account & { readonly visits: Generated<number> };
  readonly wide: WideRow;
  readonly measurements: Measurement;
  readonly happenings: Happening;
}

class KyselyPeer implements PartialPeer {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  selectById(id: number): Promise<Account> {
    return selectById(this.#db, id);
  }

  selectWide(): Promise<readonly WideRow[]> {
    return this.#db.selectFrom('wide').selectAll().orderBy('id').execute();
  }

  visit(id: number): Promise<number> {
    return this.#db.transaction().execute(async (transaction) => {
      const { balance } = await selectById(transaction, id);
      await transaction
        .updateTable('accounts')
        .set((column) => ({ visits: column('visits', '+', 1) }))
        .where('id', '=', id)
        .execute();
      return balance;
    });
  }

  async nested(first: number, second: number): Promise<number> {
    const transaction = await this.#db.startTransaction().execute();
    try {
      const sum = (await inSavepoint(transaction, first)) + (await inSavepoint(transaction, second));
      await transaction.commit().execute();
      return sum;
    } catch (error) {
      await transaction.rollback().execute();
      throw error;
    }
  }

  async insertMany(rows: readonly Measurement[]): Promise<void> {
    await this.#db.insertInto('measurements').values(rows).execute();
  }

  async stream(consume: (row: Happening) => void): Promise<void> {
    const rows = this.#db
      .selectFrom('happenings')
      .select(['id', 'kind', 'amount', 'note'])
      .stream(STREAM_BATCH);
    for await (const row of rows) consume(row);
  }

  close(): Promise<void> {
    return this.#db.destroy();
  }
}

function selectById(db: Kysely<Tables>, id: number): Promise<Account> {
  return db
    .selectFrom('accounts')
    .select(['id', 'name', 'balance'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
}

async function inSavepoint(transaction: ControlledTransaction<Tables>, id: number): Promise<number> {
  const nested = await transaction.savepoint('nested').execute();
  const { balance } = await selectById(nested, id);
  await nested.releaseSavepoint('nested').execute();
  return balance;
}

export const open: OpenPeer = async ({ url, connections }) => {
  const pool = new pg.Pool({ connectionString: url, max: connections });
  return new KyselyPeer(new Kysely<Tables>({ dialect: new PostgresDialect({ pool, cursor: Cursor }) }));
};
