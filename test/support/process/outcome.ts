import { expect } from 'vitest';
import { text, type AsyncEngine } from 'nest-async-engine/engine';
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

/** The names that are committed, as a session of the tests sees them. */
export async function storedNames(
  on: Pick<TestDatabase, 'query'>,
  table = 'items',
  order = 'name',
): Promise<string[]> {
  const rows = await on.query<{ name: string }>(`SELECT name FROM ${table} ORDER BY ${order}`);
  return rows.map(({ name }) => name);
}

/** The names in `item` that a statement of `engine` sees where this is called. */
export async function visibleNames(engine: Pick<AsyncEngine, 'scalars'>): Promise<string[]> {
  return (await engine.scalars<string>(text('SELECT name FROM item ORDER BY name'))).all();
}
