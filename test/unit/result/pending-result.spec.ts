import { afterEach, describe, expect, it } from 'vitest';
import type { CommandResult } from '../../../lib/engine/driver/driver.js';
import { AsyncMethodRequiredError, NoResultFoundError } from '../../../lib/engine/errors/errors.js';
import { CursorResult } from '../../../lib/engine/result/cursor-result.js';
import { cursorOver, PendingResult } from '../../../lib/engine/result/pending-result.js';

interface Item {
  id: number;
  name: string;
}

function items(...rows: Item[]): CommandResult {
  const fields = [
    { name: 'id', typeOid: 23 },
    { name: 'name', typeOid: 25 },
  ];
  return {
    command: 'SELECT',
    rowCount: rows.length,
    shape: { fields, keyed: true },
    rows: rows.map((row) => ({ ...row })),
  };
}

const pending = (...rows: Item[]): PendingResult<Item> =>
  new PendingResult<Item>(Promise.resolve(items(...rows)), cursorOver);
const failed = (): PendingResult<Item> =>
  new PendingResult<Item>(Promise.reject(new NoResultFoundError('no luck')), cursorOver);

describe('PendingResult', () => {
  const apple = { id: 1, name: 'apple' };

  it('gives the same result whenever it is awaited', async () => {
    const asked = pending(apple);
    const result = await asked;
    expect(result).toBeInstanceOf(CursorResult);
    expect(await asked).toBe(result);
    expect(await asked.finally(() => undefined)).toBe(result);
    expect(await asked.catch(() => undefined)).toBe(result);
  });

  it('is not written as JSON before it is awaited: it would show nothing', async () => {
    const asked = pending(apple);
    for (const result of [asked, asked.scalars(), asked.mappings()])
      expect(() => JSON.stringify({ items: result })).toThrow(AsyncMethodRequiredError);
    expect(JSON.stringify({ items: await asked })).toBe('{"items":[{"id":1,"name":"apple"}]}');
  });

  it("answers the result's own questions", async () => {
    expect(await pending(apple).all()).toEqual([apple]);
    expect(await pending(apple).one()).toEqual(apple);
    expect(await pending(apple).first()).toEqual(apple);
    expect(await pending().oneOrNone()).toBeUndefined();
    expect(await pending(apple).scalar()).toBe(1);
    expect(await pending(apple).scalarOne()).toBe(1);
    expect(await pending().scalarOneOrNone()).toBeUndefined();
    expect((await pending(apple).scalars('name')).all()).toEqual(['apple']);
    expect((await pending(apple).mappings()).all()).toEqual([apple]);
    expect((await pending(apple).tuples()).all()).toEqual([[1, 'apple']]);
  });

  it("rejects with the result's refusal", async () => {
    await expect(pending().one()).rejects.toBeInstanceOf(NoResultFoundError);
  });

  it('is a promise to those who take it for one', async () => {
    const order: string[] = [];
    await pending(apple).finally(() => order.push('finally'));
    await failed().catch((error: unknown) => order.push((error as Error).message));
    expect(order).toEqual(['finally', 'no luck']);
    expect(Object.prototype.toString.call(pending())).toBe('[object PendingResult]');
  });
});

describe('PendingResult of a failed statement', () => {
  const before = process.listeners('unhandledRejection');
  afterEach(() => {
    process.removeAllListeners('unhandledRejection');
    for (const listener of before) process.on('unhandledRejection', listener);
  });

  async function unhandledRejectionsOf(work: () => unknown): Promise<unknown[]> {
    const seen: unknown[] = [];
    process.removeAllListeners('unhandledRejection');
    process.on('unhandledRejection', (reason) => seen.push(reason));
    await work();
    // Node reports when the microtasks are done, before the next turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    return seen;
  }

  it('leaves no rejection behind when one question was awaited', async () => {
    const seen = await unhandledRejectionsOf(() => expect(failed().one()).rejects.toThrow('no luck'));
    expect(seen).toEqual([]);
  });

  it('is one unhandled rejection when nobody asked', async () => {
    const seen = await unhandledRejectionsOf(() => void failed());
    expect(seen).toHaveLength(1);
  });
});
