import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { text } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { failureOf, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
beforeAll(async () => {
  items = await ItemDatabase.open('deferred');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const date = text('SELECT CAST(:d AS timestamptz)');

async function state(): Promise<unknown[]> {
  return [
    await engine.scalar(text("SELECT current_setting('app.tenant', TRUE)")),
    await engine.scalar(text('SHOW transaction_read_only')),
  ];
}

describe('what a nested transaction set', () => {
  const refusals: Record<string, () => PromiseLike<unknown>> = {
    'has a value that cannot be sent': () => engine.execute(date, { d: new Date(NaN) }),
    'is aborted already': () => engine.execute(text('SELECT 1'), {}, { signal: AbortSignal.abort() }),
    'is a stream with a value that cannot be sent': () => engine.stream(date, { d: new Date(NaN) }).all(),
    'is the first of a nested transaction': () =>
      engine.transaction(() => engine.execute(date, { d: new Date(NaN) })),
  };
  for (const [name, refused] of Object.entries(refusals)) {
    it(`is taken back also where the statement behind it ${name}`, async () => {
      engine = items.engine();
      await engine.transaction(
        async () => {
          await engine.execute(text('SELECT 1'));
          await engine.transaction(state, { settings: { 'app.tenant': 'inner' }, readOnly: true });
          await failureOf(Promise.resolve().then(refused));
          expect(await state()).toEqual(['outer', 'off']);
        },
        { settings: { 'app.tenant': 'outer' } },
      );
    });
  }

  it('is taken back for a statement that was issued together with a refused one', async () => {
    engine = items.engine();
    await engine.transaction(
      async () => {
        await engine.execute(text('SELECT 1'));
        await engine.transaction(state, { settings: { 'app.tenant': 'inner' } });
        const both = [failureOf(Promise.resolve(engine.execute(date, { d: new Date(NaN) }))), state()];
        expect((await Promise.all(both))[1]).toEqual(['outer', 'off']);
      },
      { settings: { 'app.tenant': 'outer' } },
    );
  });

  const settings = { 'app.tenant': 'inner' };
  it.each<[string, () => Promise<unknown>]>([
    ['a nested transaction', () => engine.transaction(state, { settings })],
    ['a statement', async () => await engine.execute(text('SELECT 1'), undefined, { settings })],
    [
      'a nested stream',
      () => engine.transaction(() => engine.stream(date, { d: 'now' }).all(), { settings }),
    ],
  ])('holds for no row of a stream around it: %s', async (_, work) => {
    engine = items.engine();
    const rows = text<{ tenant: string }>(
      "SELECT current_setting('app.tenant', TRUE) AS tenant FROM generate_series(1, 20)",
    );
    const tenants: string[] = [];
    await engine.transaction(
      async () => {
        for await (const { tenant } of engine.stream(rows, {}, { yieldPer: 2 })) {
          tenants.push(tenant);
          await work();
        }
      },
      { settings: { 'app.tenant': 'outer' } },
    );
    expect(tenants).toEqual(Array.from({ length: 20 }, () => 'outer'));
  });

  it('is merged by name with what is set around it', async () => {
    engine = items.engine({ settings: { 'app.engine': 'e', 'app.tenant': 'e' } });
    const read = text(
      "SELECT current_setting('app.engine', TRUE), current_setting('app.tenant', TRUE) AS t, current_setting('app.user', TRUE) AS u",
    );
    const row = await engine.transaction(
      () =>
        engine.transaction(
          () =>
            engine
              .execute(read)
              .tuples()
              .then((rows) => rows.one()),
          { settings: { 'app.user': 'n' } },
        ),
      { settings: { 'app.tenant': 't' } },
    );
    expect(row).toEqual(['e', 't', 'n']);
  });
});
