import type { Pool } from '../pool.js';
import type { ReplicaSet } from './replica-set.js';

/** What an engine works over. */
interface PoolsOfEngine {
  pool: Pool;
  readonly replicas: ReplicaSet | undefined;
}

/** The pools of an engine: its own, which others may replace, and those of its replicas. */
export class EnginePools {
  readonly #engine: PoolsOfEngine;

  constructor(engine: PoolsOfEngine) {
    this.#engine = engine;
  }

  get all(): readonly Pool[] {
    return [this.#engine.pool, ...(this.#engine.replicas?.pools ?? [])];
  }

  /** Makes `pool` the engine's own; it lends sessions as the former one did. */
  install(pool: Pool): void {
    const former = this.#engine.pool;
    pool.views = former.views;
    if (former !== pool) former.views = undefined;
    this.#engine.pool = pool;
  }

  /** All work goes to `pool`, reads for replicas too, until the function that you get is called. */
  replace(pool: Pool): () => void {
    const former = this.#engine.pool;
    const restore = this.#engine.replicas?.bypass();
    this.install(pool);
    return () => {
      this.install(former);
      restore?.();
    };
  }

  /** Waits at most `timeout` ms for connections on loan; the number of sessions that were ended then. */
  async drain(timeout: number): Promise<number> {
    const ended = await Promise.all(this.all.map((pool) => pool.drain(timeout)));
    return ended.reduce((sum, count) => sum + count, 0);
  }
}
