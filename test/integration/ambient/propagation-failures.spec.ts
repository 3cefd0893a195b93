import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { PoolDeadlockError, UnexpectedRollbackError } from 'nest-async-engine/engine';
import { failureOf, insert, ItemDatabase } from '../../support/items.js';

class OwnError extends Error {}

let items: ItemDatabase;
beforeAll(async () => {
  items = await ItemDatabase.open('propagation_failures');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

it("'requires-new' on a pool of 1 is a PoolDeadlockError in under a second", async () => {
  const engine = items.engine({ poolTimeout: 30_000 });
  const begin = performance.now();
  const failure = await failureOf(
    engine.transaction(async () => {
      await engine.execute(insert('outer'));
      await engine.transaction(() => engine.execute(insert('inner')), { propagation: 'requires-new' });
    }),
  );
  expect(failure).toBeInstanceOf(PoolDeadlockError);
  expect(performance.now() - begin).toBeLessThan(1_000);
});

it("a pool whose every connection waits in 'requires-new' is a PoolDeadlockError for the last to come", async () => {
  const engine = items.engine({ poolSize: 3, poolTimeout: 30_000 });
  const outcomes = await Promise.allSettled(
    ['a', 'b', 'c'].map((name) =>
      engine.transaction(async () => {
        await engine.execute(insert(name));
        await engine.transaction(() => engine.execute(insert(`${name} new`)), {
          propagation: 'requires-new',
        });
      }),
    ),
  );
  const failures = outcomes.filter((outcome) => outcome.status === 'rejected');
  expect(failures.length).toBeGreaterThan(0);
  for (const { reason } of failures) expect(reason).toBeInstanceOf(PoolDeadlockError);
  expect(await items.names()).toHaveLength((3 - failures.length) * 2);
});

it("a failed inner 'required' that is caught names its error at the outer commit", async () => {
  const engine = items.engine();
  const inner = new OwnError('inner');
  const failure = await failureOf(
    engine.transaction(async () => {
      await engine.execute(insert('outer'));
      await engine
        .transaction(() => Promise.reject(inner), { propagation: 'required' })
        .catch(() => undefined);
    }),
  );
  expect(failure).toBeInstanceOf(UnexpectedRollbackError);
  expect((failure as Error).cause).toBe(inner);
});

it("a failed inner 'required' inside a savepoint undoes that savepoint only", async () => {
  const engine = items.engine();
  await engine.transaction(async () => {
    await engine.execute(insert('outer'));
    const failure = await failureOf(
      engine.transaction(async () => {
        await engine.execute(insert('nested'));
        await engine
          .transaction(() => Promise.reject(new OwnError('inner')), { propagation: 'required' })
          .catch(() => undefined);
      }),
    );
    expect(failure).toBeInstanceOf(UnexpectedRollbackError);
  });
  expect(await items.names()).toEqual(['outer']);
});
