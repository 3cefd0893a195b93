import { setMaxListeners } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { QueryCanceledError, text, type AsyncEngine } from 'nest-async-engine/engine';
import { failureOf, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;

beforeAll(async () => {
  items = await ItemDatabase.open('signal_limits');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const one = text('SELECT 1');
const WAYS: readonly [string, (engine: AsyncEngine, signal: AbortSignal) => Promise<unknown>][] = [
  ['execute()', async (engine, signal) => await engine.execute(one, undefined, { signal })],
  ['stream()', async (engine, signal) => await engine.stream(one, undefined, { signal }).all()],
  ['batch()', (engine, signal) => engine.batch([one], { signal })],
  ['pool.connect()', async (engine, signal) => await (await engine.pool.connect({ signal })).close()],
  [
    'a statement of a transaction',
    (engine, signal) => engine.transaction(async () => await engine.execute(one, undefined, { signal })),
  ],
];

// People write setMaxListeners(0, signal) where Node warns of many listeners.
describe.each([0, 1, Infinity])('a signal that may have %d listeners', (limit) => {
  it.each(WAYS)('is taken by %s', async (_way, run) => {
    const { signal } = new AbortController();
    setMaxListeners(limit, signal);
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on('warning', onWarning);
    const engine = items.engine({ poolSize: 1, maxOverflow: 0 });
    await Promise.all(Array.from({ length: 3 }, () => run(engine, signal)));
    await new Promise(setImmediate);
    process.off('warning', onWarning);
    expect(warnings).toEqual([]);
  });

  it('ends a statement', async () => {
    const controller = new AbortController();
    setMaxListeners(limit, controller.signal);
    const engine = items.engine();
    const running = engine.execute(text('SELECT pg_sleep(60)'), undefined, { signal: controller.signal });
    const failure = failureOf(running);
    controller.abort();
    expect(await failure).toBeInstanceOf(QueryCanceledError);
  });
});
