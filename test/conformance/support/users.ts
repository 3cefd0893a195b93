import assert from 'node:assert/strict';
import { createAsyncEngine, text } from 'nest-async-engine/engine';
import type { AsyncEngine, AsyncEngineOptions, Pool } from 'nest-async-engine/engine';
import { eventually } from '../../support/process/barrier.js';
import { startFaultyProxy } from '../../support/server/faulty-proxy.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

export interface User {
  readonly user_id: number;
  readonly user_name: string;
}

export const nameOf = (id: number): string => `name${id}`;
/** The rows of fixture F1: 1 to 19. */
export const USERS: readonly User[] = Array.from({ length: 19 }, (_, index) => ({
  user_id: index + 1,
  user_name: nameOf(index + 1),
}));

export const insertUser = (id: number) =>
  text(`INSERT INTO users (user_id, user_name) VALUES (${id}, '${nameOf(id)}')`);
export const selectUsers = text<User>('SELECT user_id, user_name FROM users ORDER BY user_id');
export const deleteUsers = text('DELETE FROM users');
export const countUsers = text('SELECT count(*)::int4 FROM users');

/** The table of the fixtures F1 (19 rows) and TX (empty), with engines that are looked after: none may keep anything. */
export class UsersTable {
  readonly database: TestDatabase;
  readonly #rows: 0 | 19;
  readonly #engines: AsyncEngine[] = [];

  constructor(database: TestDatabase, rows: 0 | 19) {
    this.database = database;
    this.#rows = rows;
  }

  static async open(prefix: string, rows: 0 | 19 = 0): Promise<UsersTable> {
    const database = await createDatabase(prefix);
    // The deferred key refuses at COMMIT what the primary key refuses at once.
    await database.query(
      `CREATE TABLE users (user_id INT PRIMARY KEY, user_name VARCHAR(20) UNIQUE DEFERRABLE INITIALLY DEFERRED)`,
    );
    const table = new UsersTable(database, rows);
    await table.#fill();
    return table;
  }

  engine(options: AsyncEngineOptions = {}, url = this.database.url): AsyncEngine {
    const engine = createAsyncEngine(url, { poolSize: 2, maxOverflow: 0, poolTimeout: 5_000, ...options });
    this.#engines.push(engine);
    return engine;
  }

  /** The keys that are stored, as another session sees them. */
  async ids(): Promise<number[]> {
    const rows = await this.database.query<User>('SELECT user_id FROM users ORDER BY user_id');
    return rows.map(({ user_id: id }) => id);
  }

  async count(): Promise<number> {
    return (await this.ids()).length;
  }

  /** Ends the session of `pid` and waits until the server has done so. */
  async kill(pid: unknown): Promise<void> {
    await this.database.query('SELECT pg_terminate_backend($1, 5000)', [pid]);
  }

  /** The statements that reach the server while `work` runs. */
  async wire(
    work: (engine: AsyncEngine) => Promise<unknown>,
    options?: AsyncEngineOptions,
  ): Promise<string[]> {
    await using proxy = await startFaultyProxy(this.database.url);
    const engine = this.engine(options, proxy.url);
    await engine.execute(text('SELECT 1'));
    proxy.reset();
    await work(engine);
    const { statements } = proxy;
    await engine.dispose();
    return statements;
  }

  /** Nothing is on loan, and no session is in a transaction. Ends the engines and restores the rows. */
  async expectClean(): Promise<void> {
    const engines = this.#engines.splice(0);
    const onLoan = engines.map(({ pool }) => pool.checkedOut());
    await eventually(async () => {
      const open = (await this.database.sessions()).filter(({ state }) => state?.startsWith('idle in'));
      assert.deepEqual(open, []);
    });
    await Promise.all(engines.map((engine) => engine.aclose()));
    await this.#fill();
    assert.deepEqual(
      onLoan,
      engines.map(() => 0),
    );
  }

  async close(): Promise<void> {
    await this.database.drop();
  }

  async #fill(): Promise<void> {
    await this.database.query('TRUNCATE users');
    await this.database.query(
      `INSERT INTO users SELECT n, 'name' || n FROM generate_series(1, $1::int4) AS n`,
      [this.#rows],
    );
  }
}

/** The figures of a pool that upstream's tests look at. */
export function figures(pool: Pool): { readonly in: number; readonly out: number } {
  return { in: pool.checkedIn(), out: pool.checkedOut() };
}
