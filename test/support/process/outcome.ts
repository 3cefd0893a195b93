import { expect } from 'vitest';
import type { AsyncEngine } from 'nest-async-engine';
import { eventually } from './barrier.js';
import type { TestDatabase } from '../server/postgres.js';

/** Nothing is on loan, and no session of the server is in a transaction. */
export async function expectIdle(engine: AsyncEngine, database: TestDatabase): Promise<void> {
  await eventually(async () => {
    expect(engine.pool.checkedOut()).toBe(0);
    const states = (await database.sessions()).map(({ state }) => state);
    expect(states.filter((state) => state !== 'idle')).toEqual([]);
  }, 2_000);
}

/** The names that are committed, in their order. */
export async function storedNames(database: TestDatabase): Promise<string[]> {
  const rows = await database.query<{ name: string }>('SELECT name FROM items ORDER BY name');
  return rows.map(({ name }) => name);
}
