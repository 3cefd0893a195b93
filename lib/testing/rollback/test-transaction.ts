import type { AsyncEngine } from '../../engine/index.js';
import { OuterTransaction } from './outer-transaction.js';
import { RollbackPool } from './rollback-pool.js';

/** The length of one test: an engine that works in a transaction until it is given its own pool back. */
export class TestTransaction {
  readonly #outer: OuterTransaction;
  readonly #engine: AsyncEngine;
  readonly #restore: () => void;

  private constructor(engine: AsyncEngine, outer: OuterTransaction) {
    this.#engine = engine;
    this.#outer = outer;
    this.#restore = engine.replacePool(new RollbackPool(outer, engine.pool));
  }

  static async begin(engine: AsyncEngine, turnTimeout: number): Promise<TestTransaction> {
    return new TestTransaction(engine, await OuterTransaction.begin(engine.pool, turnTimeout));
  }

  /**
   * Waits for work under way, at most `settleTimeout` ms, and undoes everything. Gives what was wrong with
   * the test.
   */
  async end(settleTimeout: number): Promise<readonly string[]> {
    const { pool } = this.#engine;
    const late = await this.#outer.settle(settleTimeout);
    if (late.length > 0) {
      this.#outer.complain(
        `it left ${late.length} connection(s) checked out ${settleTimeout} ms after its end (last statement: ` +
          `${late.join('; ')}). Is a promise not awaited, a stream not read to its end, or a connection not closed?`,
      );
    }
    try {
      await pool.drain(0);
      await this.#outer.end();
    } finally {
      this.#restore();
    }
    return this.#outer.complaints;
  }
}
