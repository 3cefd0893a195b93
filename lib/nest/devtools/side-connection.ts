import type { AsyncEngine, Control, Pool } from '../../engine/index.js';

type Row = Readonly<Record<string, unknown>>;

/** Asks the server beside the pool of an engine: also when that pool is used up, and heard by no listener. */
export class SideConnection {
  readonly #engine: AsyncEngine;
  #pool: Pool | undefined;

  constructor(engine: AsyncEngine) {
    this.#engine = engine;
  }

  /** The rows of one statement; what `control` begins is rolled back. */
  async ask(
    text: string,
    values: readonly unknown[] = [],
    control: readonly Control[] = [],
  ): Promise<readonly Row[]> {
    const pooled = await this.#take().connect({ timeout: 2_000 });
    try {
      const { rows } = await pooled.session.execute(
        control,
        { text, values, prepare: false },
        { timeout: 5_000 },
      );
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
