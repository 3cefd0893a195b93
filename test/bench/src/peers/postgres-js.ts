import postgres from 'postgres';
import type { Account, Happening, Measurement, WideRow } from '../fixtures.js';
import { onlyRow } from './only-row.js';
import { STREAM_BATCH, type OpenPeer, type PartialPeer } from './peer.js';

/** What the pool and a transaction have in common. */
type Query = postgres.ISql;

/** `postgres` (postgres.js): prepares by itself, pipelines by itself. */
class PostgresJsPeer implements PartialPeer {
  readonly #sql: postgres.Sql;

  constructor(sql: postgres.Sql) {
    this.#sql = sql;
  }

  selectById(id: number): Promise<Account> {
    return selectById(this.#sql, id);
  }

  selectWide(): Promise<readonly WideRow[]> {
    return this.#sql<
      WideRow[]
    >`SELECT id, rank, total, title, code, price, active, created, score, details FROM wide ORDER BY id`;
  }

  async visit(id: number): Promise<number> {
    return await this.#sql.begin(async (sql) => {
      const { balance } = await selectById(sql, id);
      await sql`UPDATE accounts SET visits = visits + 1 WHERE id = ${id}`;
      return balance;
    });
  }

  async nested(first: number, second: number): Promise<number> {
    return await this.#sql.begin(async (sql) => {
      const one = await sql.savepoint((inner) => selectById(inner, first));
      const other = await sql.savepoint((inner) => selectById(inner, second));
      return one.balance + other.balance;
    });
  }

  async insertMany(rows: readonly Measurement[]): Promise<void> {
    await this.#sql`INSERT INTO measurements ${this.#sql(rows, 'id', 'sensor', 'label', 'value')}`;
  }

  async stream(consume: (row: Happening) => void): Promise<void> {
    const cursor = this.#sql<Happening[]>`SELECT id, kind, amount, note FROM happenings`.cursor(STREAM_BATCH);
    for await (const rows of cursor) for (const row of rows) consume(row);
  }

  close(): Promise<void> {
    return this.#sql.end();
  }
}

async function selectById(sql: Query, id: number): Promise<Account> {
  return onlyRow(await sql<Account[]>`SELECT id, name, balance FROM accounts WHERE id = ${id}`);
}

export const open: OpenPeer = async ({ url, connections }) =>
  new PostgresJsPeer(postgres(url, { max: connections }));
