import { AsyncLocalStorage } from 'node:async_hooks';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { text } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { failureOf, ItemDatabase } from '../../../support/items.js';

type Query = (this: unknown, ...args: unknown[]) => unknown;
type Callback = (error: unknown, ...rest: unknown[]) => unknown;

const KEPT = Symbol.for('nestjs.observe.original.query');
const prototype = pg.Client.prototype as unknown as { query: Query; [KEPT]?: Query };
const caller = new AsyncLocalStorage<string>();

let items: ItemDatabase;
let engine: AsyncEngine;
let spans: { text: string; caller: string | undefined; end?: unknown }[];

/** The way in which `@nestjs/observe` patches pg: queries with a text, and nothing that is submitted. */
function patch(): void {
  const original = prototype.query;
  prototype[KEPT] = original;
  prototype.query = function (...args) {
    const [config] = args as [string | { readonly text?: string; readonly submit?: unknown } | undefined];
    const sql = typeof config === 'string' ? config : config?.text;
    const isSubmitted = typeof config === 'object' && typeof config.submit === 'function';
    if (typeof sql !== 'string' || isSubmitted) return original.apply(this, args);
    const span: (typeof spans)[number] = { text: sql, caller: caller.getStore() };
    spans.push(span);
    const callback = args.at(-1) as Callback;
    if (typeof callback !== 'function') return original.apply(this, args);
    args[args.length - 1] = function (this: unknown, error: unknown, ...rest: unknown[]) {
      span.end = error ?? 'ended';
      return callback.call(this, error, ...rest);
    };
    return original.apply(this, args);
  };
}

beforeAll(async () => {
  items = await ItemDatabase.open('patched');
});
beforeEach(() => {
  spans = [];
  patch();
  engine = items.engine({ poolSize: 4 });
});
afterEach(async () => {
  if (prototype[KEPT] !== undefined) prototype.query = prototype[KEPT];
  delete prototype[KEPT];
  await items.expectClean();
});
afterAll(() => items.close());

describe('a tool that patches the client of pg and skips what is submitted', () => {
  it('sees each statement with its text and its end, in the context of its caller', async () => {
    await caller.run('me', async () => {
      await engine.execute(text('SELECT 1 AS one'));
      await engine.transaction(() => engine.execute(text('SELECT 2 AS two')));
      await engine.execute(text('INSERT INTO item (name) VALUES (:name)'), [{ name: 'a' }, { name: 'b' }]);
      await engine.stream(text('SELECT generate_series(1, 9) AS n'), undefined, { yieldPer: 2 }).all();
    });
    const statements = spans.filter(({ text: sql }) => /^(SELECT|INSERT)/.test(sql));
    expect(statements).toEqual(
      [
        'SELECT 1 AS one',
        'SELECT 2 AS two',
        'INSERT INTO item (name) VALUES ($1)',
        'SELECT generate_series(1, 9) AS n',
      ].map((sql) => ({ text: sql, caller: 'me', end: 'ended' })),
    );
    expect(await items.names()).toEqual(['a', 'b']);
  });

  it('sees what a statement has failed with', async () => {
    const error = await failureOf(engine.execute(text('SELECT 1 / 0')));
    expect(spans.at(-1)).toMatchObject({ text: 'SELECT 1 / 0', end: error });
  });
});
