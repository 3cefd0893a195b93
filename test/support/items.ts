import assert from 'node:assert/strict';
import { createAsyncEngine, text } from 'nest-async-engine/engine';
import type { AsyncEngine, AsyncEngineOptions, EngineLogger } from 'nest-async-engine/engine';
import { eventually } from './process/barrier.js';
import { storedNames } from './process/outcome.js';
import { createDatabase } from './server/postgres.js';
import type { TestDatabase } from './server/postgres.js';

/** A database with the table `item`, and engines on it that are looked after: none may keep anything. */
export class ItemDatabase {
  readonly database: TestDatabase;
  readonly #engines: AsyncEngine[] = [];

  constructor(database: TestDatabase) {
    this.database = database;
  }

  static async open(prefix: string): Promise<ItemDatabase> {
    const database = await createDatabase(prefix);
    // The deferred key refuses at COMMIT what the plain one refuses at once.
    await database.query(
      `CREATE TABLE item (name TEXT PRIMARY KEY, place INT UNIQUE DEFERRABLE INITIALLY DEFERRED)`,
    );
    return new ItemDatabase(database);
  }

  /** An engine of one test. */
  engine(options: AsyncEngineOptions = {}, url = this.database.url): AsyncEngine {
    const pool = options.poolClass === undefined ? { poolSize: 1, maxOverflow: 0, poolTimeout: 5_000 } : {};
    const engine = createAsyncEngine(url, { ...pool, ...options });
    this.#engines.push(engine);
    return engine;
  }

  /** What is stored, as another session sees it. */
  async names(): Promise<string[]> {
    return await storedNames(this.database, 'item');
  }

  /** Nothing is on loan, and no session is in a transaction. Ends the engines and empties the table. */
  async expectClean(): Promise<void> {
    const engines = this.#engines.splice(0);
    const onLoan = engines.map(({ pool }) => pool.checkedOut());
    // A session that was dropped hears of it in its own time.
    await eventually(async () => {
      const open = (await this.database.sessions()).filter(({ state }) => state?.startsWith('idle in'));
      assert.deepEqual(open, []);
    });
    await Promise.all(engines.map((engine) => engine.aclose()));
    await this.database.query('TRUNCATE item');
    assert.deepEqual(
      onLoan,
      engines.map(() => 0),
    );
  }

  async close(): Promise<void> {
    await this.database.drop();
  }
}

/** INSERT of one item; refused when it is there. */
export const insert = (name: string) => text(`INSERT INTO item (name) VALUES ('${name}')`);

/** A logger that keeps what it is told. */
export class MemoryLogger implements EngineLogger {
  readonly errors: string[] = [];
  readonly warnings: string[] = [];

  log(): void {}

  warn(message: string): void {
    this.warnings.push(message);
  }

  error(message: string): void {
    this.errors.push(message);
  }
}

/** The error that `work` fails with. */
export async function failureOf(work: PromiseLike<unknown>): Promise<unknown> {
  return await Promise.resolve(work).then(
    () => assert.fail('it should have failed'),
    (error: unknown) => error,
  );
}

/** The class of the error that `work` fails with; undefined where it succeeds. */
export async function outcomeOf(work: PromiseLike<unknown>): Promise<unknown> {
  return await Promise.resolve(work).then(
    () => undefined,
    (error: unknown) => (error as Error).constructor,
  );
}

/** A number from 0 to 1 at each call, the same series for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296;
  };
}

/** Lets everybody else run for up to `most` turns of the event loop. */
export async function randomTurns(random: () => number, most = 4): Promise<void> {
  for (let left = Math.floor(random() * (most + 1)); left > 0; left -= 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}
