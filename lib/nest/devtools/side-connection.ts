import type { AsyncEngine } from '../../engine/index.js';
import type { Pool } from '../../engine/index.js';

type Row = Readonly<Record<string, unknown>>;

/** Asks the server beside the pool of an engine: also when that pool is used up, and heard by no listener. */
export class SideConnection {
  readonly #engine: AsyncEngine;
  #pool: Pool | undefined;

  constructor(engine: AsyncEngine) {
    this.#engine = engine;
  }

  /** Runs the statements one after the other, in a transaction that is rolled back; the rows of the last. */
  async ask(statements: readonly string[], values: readonly unknown[] = []): Promise<readonly Row[]> {
    const pooled = await this.#take().connect({ timeout: 2_000 });
    try {
      const { session } = pooled;
      let rows: readonly unknown[] = [];
      for (const [index, text] of statements.entries()) {
        const isLast = index === statements.length - 1;
        const answer = await session.execute(
          [],
          { text, values: isLast ? values : [], prepare: false },
          { timeout: 5_000 },
        );
        rows = answer.rows;
      }
      return rows as readonly Row[];
    } finally {
      await pooled.close();
    }
  }

  async close(): Promise<void> {
    await this.#pool?.dispose();
  }

  /** An embedded PGlite has one session, which its pool shares. */
  #take(): Pool {
    if (this.#engine.driver !== 'pg') return this.#engine.pool;
    this.#pool ??= this.#engine.pool.recreate();
    return this.#pool;
  }
}
