import type { AsyncEngine } from 'nest-async-engine/engine';
import { rollbackEach } from 'nest-async-engine/testing';
import type { HookRegistrar, RollbackEachOptions } from 'nest-async-engine/testing';

/** A test runner with one test: hooks are called by hand, so that what they fail with can be looked at. */
export class TestRun {
  #begin: Parameters<HookRegistrar>[0] = () => Promise.resolve();
  #end: Parameters<HookRegistrar>[0] = () => Promise.resolve();

  constructor(engine: AsyncEngine, options: RollbackEachOptions = {}) {
    rollbackEach(engine, {
      beforeEach: (hook) => (this.#begin = hook),
      afterEach: (hook) => (this.#end = hook),
      ...options,
    });
  }

  begin(): Promise<void> {
    return this.#begin();
  }

  end(name = 'a test'): Promise<void> {
    return this.#end({ task: { name } });
  }

  /** One test from its beginning to its end. */
  async test<T>(work: () => Promise<T>): Promise<T> {
    await this.begin();
    let result: T;
    try {
      result = await work();
    } catch (error) {
      await this.end().catch(() => undefined);
      throw error;
    }
    await this.end();
    return result;
  }
}
