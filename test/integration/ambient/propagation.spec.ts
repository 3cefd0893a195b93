import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { play } from '../../support/propagation/runner.js';
import { INNER, PROPAGATION_CASES, titleOf } from '../../support/propagation/table.js';
import { PropagationError } from 'nest-async-engine/engine';
import { failureOf, insert, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
beforeAll(async () => {
  items = await ItemDatabase.open('propagation');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

describe('engine.transaction', () => {
  it.each(PROPAGATION_CASES.map((one) => [titleOf(one), one] as const))('%s', async (_title, one) => {
    const engine = items.engine({ poolSize: one.poolSize });
    const failures = await play(
      {
        store: (name) => engine.execute(insert(name)).then(),
        around: (work) => engine.transaction(work),
        inner: (propagation, work) => engine.transaction(work, { propagation }),
      },
      one,
    );
    expect(failures).toEqual({ outer: one.outer, inner: INNER.map(() => one.inner) });
    expect(await items.names()).toEqual(one.rows);
  });
});

describe('a durable transaction', () => {
  it.each(['nested', 'required', 'mandatory', 'supports'] as const)(
    'refuses to be part of another one, whose work goes on: %s',
    async (propagation) => {
      const engine = items.engine();
      await engine.transaction(async () => {
        const inner = engine.transaction(() => engine.execute(insert('inner')), {
          propagation,
          durable: true,
        });
        expect(await failureOf(inner)).toBeInstanceOf(PropagationError);
        await engine.execute(insert('outer'));
      });
      expect(await items.names()).toEqual(['outer']);
    },
  );

  it('is stored when it returns: alone, and beside another one', async () => {
    const engine = items.engine({ poolSize: 2 });
    await engine.transaction(() => engine.execute(insert('alone')), { durable: true });
    const outer = engine.transaction(async () => {
      await engine.execute(insert('outer'));
      const options = { propagation: 'requires-new', durable: true } as const;
      await engine.transaction(() => engine.execute(insert('beside')), options);
      throw new Error('on purpose');
    });
    await failureOf(outer);
    expect(await items.names()).toEqual(['alone', 'beside']);
  });
});

it("an empty inner 'required' leaves the outer one open in which nothing ran yet", async () => {
  const engine = items.engine();
  await engine.transaction(async () => {
    await engine.transaction(async () => undefined, { propagation: 'required' });
    await engine.execute(insert('outer'));
  });
  expect(await items.names()).toEqual(['outer']);
});
