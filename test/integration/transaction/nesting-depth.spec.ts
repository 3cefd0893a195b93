import { AsyncResource } from 'node:async_hooks';
import { IllegalStateError, sql, type AsyncConnection, type AsyncEngine } from 'nest-async-engine/engine';
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

  it.each<[string, (engine: AsyncEngine, work: () => Promise<unknown>) => Promise<unknown>]>([
    ["propagation 'required'", (engine, work) => engine.transaction(work, { propagation: 'required' })],
    [
      "propagation 'requires-new'",
      (engine, work) => engine.transaction(work, { propagation: 'requires-new' }),
    ],
    ["propagation 'supports'", (engine, work) => engine.transaction(work, { propagation: 'supports' })],
    ['engine.scope()', (engine, work) => engine.scope(work)],
    [
      'transaction.within()',
      async (engine, work) => await engine.currentConnection().getTransaction()?.within(work),
    ],
  ])('without end are refused by name where they take no savepoint: %s', async (_name, begin) => {
    const engine = items.engine();
    const nest = async (): Promise<unknown> => await begin(engine, nest);
    const failure = await failureOf(engine.transaction(nest));
    expect(failure).toBeInstanceOf(IllegalStateError);
    expect((failure as Error).message).toMatch(/more than 512 deep/);
    expect(await items.names()).toEqual([]);
  });

  it('do not count where each begins after the one before it has ended', async () => {
    const engine = items.engine();
    let rounds = 0;
    const round = async (): Promise<void> => {
      rounds += 1;
      // The next one is started in the context of this one, as by a timer.
      const next = await engine.scope(() => Promise.resolve(AsyncResource.bind(round)));
      if (rounds < 1_000) await next();
    };
    await round();
    expect(rounds).toBe(1_000);
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
