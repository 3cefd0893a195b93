import { asc, eq, sql } from 'drizzle-orm';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import {
  bigint,
  boolean,
  doublePrecision,
  integer,
  jsonb,
  numeric,
  pgTable,
  text,
  timestamp,
  varchar,
} from 'drizzle-orm/pg-core';
import pg from 'pg';
import type { Account, Measurement, WideRow } from '../fixtures.js';
import { onlyRow } from './only-row.js';
import type { OpenPeer, PartialPeer } from './peer.js';

const accounts = pgTable('accounts', {
  id: integer().primaryKey(),
  name: text().notNull(),
  balance: integer().notNull(),
  visits: integer().notNull(),
});
const wide = pgTable('wide', {
  id: integer().primaryKey(),
  rank: integer().notNull(),
  total: bigint({ mode: 'bigint' }).notNull(),
  title: text().notNull(),
  code: varchar({ length: 20 }).notNull(),
  price: numeric({ precision: 12, scale: 2 }).notNull(),
  active: boolean().notNull(),
  created: timestamp({ withTimezone: true }).notNull(),
  score: doublePrecision().notNull(),
  details: jsonb().notNull(),
});
const measurements = pgTable('measurements', {
  id: integer().notNull(),
  sensor: integer().notNull(),
  label: text().notNull(),
  value: doublePrecision().notNull(),
});

const account = { id: accounts.id, name: accounts.name, balance: accounts.balance };

/** The statements that Drizzle lets one prepare, named. */
function prepare(db: NodePgDatabase) {
  return {
    byId: db
      .select(account)
      .from(accounts)
      .where(eq(accounts.id, sql.placeholder('id')))
      .prepare('select_account'),
    wide: db.select().from(wide).orderBy(asc(wide.id)).prepare('select_wide'),
  };
}

/** Drizzle has no streams for `pg`. */
class DrizzlePeer implements PartialPeer {
  readonly #pool: pg.Pool;
  readonly #db: NodePgDatabase;
  readonly #prepared: ReturnType<typeof prepare>;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
    this.#db = drizzle(pool);
    this.#prepared = prepare(this.#db);
  }

  async selectById(id: number): Promise<Account> {
    return onlyRow(await this.#prepared.byId.execute({ id }));
  }

  selectWide(): Promise<readonly WideRow[]> {
    return this.#prepared.wide.execute();
  }

  visit(id: number): Promise<number> {
    return this.#db.transaction(async (transaction) => {
      const { balance } = onlyRow(
        await transaction.select(account).from(accounts).where(eq(accounts.id, id)),
      );
      await transaction
        .update(accounts)
        .set({ visits: sql`${accounts.visits} + 1` })
        .where(eq(accounts.id, id));
      return balance;
    });
  }

  nested(first: number, second: number): Promise<number> {
    return this.#db.transaction(async (transaction) => {
      const inner = (id: number) =>
        transaction.transaction((nested) => nested.select(account).from(accounts).where(eq(accounts.id, id)));
      return onlyRow(await inner(first)).balance + onlyRow(await inner(second)).balance;
    });
  }

  async insertMany(rows: readonly Measurement[]): Promise<void> {
    await this.#db.insert(measurements).values([...rows]);
  }

  close(): Promise<void> {
    return this.#pool.end();
  }
}

export const open: OpenPeer = async ({ url, connections }) =>
  new DrizzlePeer(new pg.Pool({ connectionString: url, max: connections }));
