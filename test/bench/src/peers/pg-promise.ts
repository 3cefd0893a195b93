import pgPromise from 'pg-promise';
import QueryStream from 'pg-query-stream';
import type { Account, Happening, Measurement, WideRow } from '../fixtures.js';
import { STREAM_BATCH, type OpenPeer, type PartialPeer } from './peer.js';
import { COUNT_VISIT, SELECT_ACCOUNT, SELECT_HAPPENINGS, SELECT_WIDE } from './statements.js';

type Database = pgPromise.IDatabase<unknown>;
type Task = pgPromise.IBaseProtocol<unknown>;

const { PreparedStatement } = pgPromise;
const selectAccount = new PreparedStatement(SELECT_ACCOUNT);
const countVisit = new PreparedStatement(COUNT_VISIT);
const selectWide = new PreparedStatement(SELECT_WIDE);

class PgPromisePeer implements PartialPeer {
  readonly #pgp: pgPromise.IMain;
  readonly #db: Database;
  readonly #columns: pgPromise.ColumnSet<Measurement>;

  constructor(pgp: pgPromise.IMain, db: Database) {
    this.#pgp = pgp;
    this.#db = db;
    this.#columns = new pgp.helpers.ColumnSet(['id', 'sensor', 'label', 'value'], { table: 'measurements' });
  }

  selectById(id: number): Promise<Account> {
    return selectById(this.#db, id);
  }

  selectWide(): Promise<readonly WideRow[]> {
    return this.#db.any<WideRow>(selectWide);
  }

  visit(id: number): Promise<number> {
    return this.#db.tx(async (task) => {
      const { balance } = await selectById(task, id);
      await task.none(countVisit, [id]);
      return balance;
    });
  }

  nested(first: number, second: number): Promise<number> {
    return this.#db.tx(async (task) => {
      const one = await task.tx((nested) => selectById(nested, first));
      const other = await task.tx((nested) => selectById(nested, second));
      return one.balance + other.balance;
    });
  }

  async insertMany(rows: readonly Measurement[]): Promise<void> {
    await this.#db.none(this.#pgp.helpers.insert(rows, this.#columns));
  }

  async stream(consume: (row: Happening) => void): Promise<void> {
    const query = new QueryStream(SELECT_HAPPENINGS, [], { batchSize: STREAM_BATCH });
    await this.#db.stream(query, (stream) => {
      stream.on('data', consume);
    });
  }

  close(): Promise<void> {
    return this.#db.$pool.end();
  }
}

function selectById(task: Task, id: number): Promise<Account> {
  return task.one<Account>(selectAccount, [id]);
}

export const open: OpenPeer = async ({ url, connections }) => {
  const pgp = pgPromise();
  return new PgPromisePeer(pgp, pgp({ connectionString: url, max: connections }));
};
