import assert from 'node:assert/strict';
import type { AsyncEngine } from 'nest-async-engine/engine';

/** The engines of the tests of one file: each test ends those that it has made. */
export class TestEngines {
  readonly #engines: AsyncEngine[] = [];

  add(engine: AsyncEngine): AsyncEngine {
    this.#engines.push(engine);
    return engine;
  }

  /** Ends them. None may have anything on loan, or a caller that waits. */
  async end(): Promise<void> {
    const engines = this.#engines.splice(0);
    const left = engines.map(({ pool }) => [pool.checkedOut(), pool.waiting()]);
    await Promise.all(engines.map((engine) => engine.aclose()));
    assert.deepEqual(
      left,
      engines.map(() => [0, 0]),
    );
  }
}
