import { type AsyncEngine, sql, text } from 'nest-async-engine/engine';

export interface Account {
  readonly owner: string;
  readonly cents: number;
}

export interface Entry extends Account {
  readonly id: number;
}

export class NoMoneyError extends Error {}

/** Accounts and the entries that made them. Knows nothing of Nest: an engine is all it needs. */
export class Ledger {
  readonly #engine: AsyncEngine;

  constructor(engine: AsyncEngine) {
    this.#engine = engine;
  }

  /** Empties the ledger and opens these accounts. */
  async open(accounts: readonly Account[]): Promise<void> {
    await this.#engine.begin(async (connection) => {
      await connection.execute(sql`DROP TABLE IF EXISTS entries, accounts`);
      await connection.execute(sql`CREATE TABLE accounts (owner text PRIMARY KEY, cents int NOT NULL)`);
      await connection.execute(
        sql`CREATE TABLE entries (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner text NOT NULL, cents int NOT NULL)`,
      );
      // A list of parameter sets is an executemany: one round trip for all of them.
      await connection.execute(text('INSERT INTO accounts (owner, cents) VALUES (:owner, :cents)'), accounts);
    });
  }

  /** Serializable, so that two transfers never spend the same money; the one that comes too late is run again. */
  async transfer(from: string, to: string, cents: number): Promise<void> {
    await this.#engine.transaction(
      async () => {
        const left = await this.#engine.scalar<number>(sql`SELECT cents FROM accounts WHERE owner = ${from}`);
        if (left === undefined || left < cents) throw new NoMoneyError(`${from} has no ${cents} cents.`);
        await this.#book(from, -cents);
        await this.#book(to, cents);
      },
      { isolationLevel: 'SERIALIZABLE', retry: 50, label: 'transfer' },
    );
  }

  /** Several transfers, all or none of them: each one is a savepoint in here. */
  async transferAll(
    transfers: readonly (readonly [from: string, to: string, cents: number])[],
  ): Promise<void> {
    await this.#engine.transaction(
      async () => {
        for (const transfer of transfers) await this.transfer(...transfer);
      },
      { isolationLevel: 'SERIALIZABLE' },
    );
  }

  async #book(owner: string, cents: number): Promise<void> {
    await this.#engine.execute(sql`UPDATE accounts SET cents = cents + ${cents} WHERE owner = ${owner}`);
    await this.#engine.execute(sql`INSERT INTO entries (owner, cents) VALUES (${owner}, ${cents})`);
  }

  accounts(): Promise<Account[]> {
    return this.#engine.execute<Account>(sql`SELECT owner, cents FROM accounts ORDER BY owner`).all();
  }

  /** However many there are: a server-side cursor, closed when the loop over it ends. */
  entries(): AsyncIterable<Entry> {
    return this.#engine.stream<Entry>(sql`SELECT id, owner, cents FROM entries ORDER BY id`);
  }
}
