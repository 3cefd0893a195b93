import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createAsyncEngine } from 'nest-async-engine/engine';
import { failureOf, randomTurns, insert, seededRandom, ItemDatabase } from '../../support/items.js';

let here: ItemDatabase;
let there: ItemDatabase;
beforeAll(async () => {
  [here, there] = await Promise.all([ItemDatabase.open('here'), ItemDatabase.open('there')]);
});
afterEach(async () => {
  await here.expectClean();
  await there.expectClean();
});
afterAll(async () => {
  await here.close();
  await there.close();
});

it('a statement of one engine inside a transaction of another commits itself', async () => {
  const a = here.engine();
  const b = there.engine();
  await failureOf(
    b.transaction(async () => {
      await b.execute(insert('b'));
      await a.execute(insert('a'));
      expect(a.tryCurrentConnection()).toBeUndefined();
      throw new Error('undo');
    }),
  );
  expect(await here.names()).toEqual(['a']);
  expect(await there.names()).toEqual([]);
});

it('two engines in each other’s transactions end on their own, in parallel and 100 times', async () => {
  const a = here.engine({ poolSize: 3 });
  const b = there.engine({ poolSize: 3 });
  const expected = { here: [] as string[], there: [] as string[] };
  const random = seededRandom(7);
  const runs = Array.from({ length: 100 }, async (_, index) => {
    const [outerFails, innerFails] = [random() < 0.5, random() < 0.5];
    const name = `run ${index}`;
    const [outer, inner] = index % 2 === 0 ? [a, b] : [b, a];
    const [outerRows, innerRows] =
      index % 2 === 0 ? [expected.here, expected.there] : [expected.there, expected.here];
    if (!outerFails) outerRows.push(name);
    if (!innerFails) innerRows.push(name);
    await randomTurns(random);
    await outer
      .transaction(async () => {
        await inner
          .transaction(async () => {
            await inner.execute(insert(name));
            await randomTurns(random);
            if (innerFails) throw new Error('inner');
          })
          .catch(() => undefined);
        // Last, so that no connection of one engine is held while one of the other is waited for.
        await outer.execute(insert(name));
        if (outerFails) throw new Error('outer');
      })
      .catch(() => undefined);
  });
  await Promise.all(runs);
  expect((await here.names()).toSorted()).toEqual(expected.here.toSorted());
  expect((await there.names()).toSorted()).toEqual(expected.there.toSorted());
});

it('two engines on one database do not see each other either', async () => {
  const a = here.engine();
  const b = createAsyncEngine(here.database.url, { poolSize: 1, maxOverflow: 0 });
  await a.transaction(async () => {
    await a.execute(insert('a'));
    expect(await b.scalar({ text: 'SELECT COUNT(*)::INT FROM item' })).toBe(0);
  });
  await b.dispose();
});
