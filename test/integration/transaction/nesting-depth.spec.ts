import { IllegalStateError, sql, type AsyncConnection } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { failureOf, insert, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
beforeAll(async () => {
  items = await ItemDatabase.open('depth');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const DEEPEST = 256;

describe('transactions inside each other', () => {
  it(`run ${DEEPEST} deep, and their rows are stored`, async () => {
    const engine = items.engine();
    const nest = (depth: number): Promise<unknown> =>
      engine.transaction(async () => {
        if (depth < DEEPEST) return await nest(depth + 1);
        return await engine.execute(insert('deepest'));
      });
    await nest(0);
    expect(await items.names()).toEqual(['deepest']);
  });

  it.each<[string, (work: () => Promise<unknown>) => (connection: AsyncConnection) => Promise<unknown>]>([
    ['engine.transaction()', (work) => (connection) => connection.engine.transaction(work)],
    ['connection.beginNested(work)', (work) => (connection) => connection.beginNested(work)],
  ])('without end are refused by name, and nothing is stored: %s', async (_name, begin) => {
    const engine = items.engine();
    let depth = 0;
    const nest = async (): Promise<unknown> => {
      depth += 1;
      const connection = engine.currentConnection();
      if (depth === 1) await connection.execute(insert('first'));
      return await begin(nest)(connection);
    };
    const failure = await failureOf(engine.transaction(nest));
    expect(failure).toBeInstanceOf(IllegalStateError);
    expect((failure as Error).message).toMatch(/more than 256 deep/);
    expect(depth).toBe(DEEPEST + 1);
    expect(await items.names()).toEqual([]);
  });

  it('without end are refused where handles are never closed', async () => {
    const engine = items.engine();
    const failure = await failureOf(
      engine.begin(async (connection) => {
        for (;;) await connection.beginNested();
      }),
    );
    expect(failure).toBeInstanceOf(IllegalStateError);
  });

  it('may be deeper where they join: they are one', async () => {
    const engine = items.engine();
    const join = (depth: number): Promise<unknown> =>
      engine.transaction(async () => (depth > 0 ? join(depth - 1) : engine.scalar(sql`SELECT 1`)), {
        propagation: 'required',
      });
    expect(await join(2 * DEEPEST)).toBe(1);
  });
});
