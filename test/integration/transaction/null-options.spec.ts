import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { ArgumentError } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { failureOf, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;

beforeAll(async () => {
  items = await ItemDatabase.open('null_options');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const nothing = null as never;
const work = async (): Promise<void> => undefined;

it.each<[string, (engine: AsyncEngine) => Promise<unknown>]>([
  ['engine.transaction(work, null)', (engine) => engine.transaction(work, nothing)],
  ['engine.begin(work, null)', (engine) => engine.begin(work, nothing)],
  ['connection.begin(null)', (engine) => engine.connect((connection) => connection.begin(nothing))],
  [
    'connection.begin(work, null)',
    (engine) => engine.connect((connection) => connection.begin(work, nothing)),
  ],
  ['engine.scope(work, null)', (engine) => engine.scope(work, nothing)],
])('null is not taken for options that were left out: %s', async (_call, run) => {
  expect(await failureOf(run(items.engine()))).toBeInstanceOf(ArgumentError);
});
