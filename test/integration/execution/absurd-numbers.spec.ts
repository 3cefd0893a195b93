import { ArgumentError, sql, text, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { failureOf, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
beforeAll(async () => {
  items = await ItemDatabase.open('numbers');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

/** The last number that 32 bits with a sign hold. */
const INT32 = 2 ** 31 - 1;
const ONE = sql`SELECT 1 AS n`;
const INSERT = text('INSERT INTO item (name) VALUES (:name)');
const NO_NUMBERS = ['10', 10n, null, Number.NaN, {}] as unknown as readonly number[];

type Take = (engine: AsyncEngine, value: number) => PromiseLike<unknown>;

const counted: readonly [name: string, take: Take][] = [
  ['yieldPer', (engine, yieldPer) => engine.stream(ONE, undefined, { yieldPer }).all()],
  ['maxRowBuffer', (engine, maxRowBuffer) => engine.stream(ONE, undefined, { maxRowBuffer }).all()],
  // Whole numbers of 32 bits: with more, the server would be asked for all rows at once.
  ['yieldPer() of a stream', async (engine, count) => engine.stream(ONE).yieldPer(count).all()],
];

const unlimited: readonly [name: string, take: Take][] = [
  ['fetchMany() of a stream', (engine, count) => engine.stream(ONE).fetchMany(count)],
  ['fetchMany()', async (engine, count) => (await engine.execute(ONE)).fetchMany(count)],
  ['partitions()', async (engine, count) => [...(await engine.execute(ONE)).partitions(count)]],
  ['yieldPer()', async (engine, count) => (await engine.execute(ONE)).yieldPer(count).all()],
  [
    'insertmanyvaluesPageSize',
    (engine, insertmanyvaluesPageSize) =>
      engine.execute(INSERT, [{ name: 'a' }, { name: 'b' }], { insertmanyvaluesPageSize }),
  ],
];

const times: readonly [name: string, take: Take][] = [
  ['timeout of a statement', (engine, timeout) => engine.execute(ONE, undefined, { timeout })],
  [
    'timeout of a transaction',
    (engine, timeout) => engine.transaction(() => engine.execute(ONE), { timeout }),
  ],
  ['lockTimeout', (engine, lockTimeout) => engine.transaction(() => engine.execute(ONE), { lockTimeout })],
  [
    'statementTimeout',
    (engine, statementTimeout) => engine.transaction(() => engine.execute(ONE), { statementTimeout }),
  ],
  ['timeout of ping()', (engine, timeout) => engine.ping({ timeout })],
];

describe.each(counted)('%s', (_name, take) => {
  it('takes what 32 bits hold', async () => {
    expect(await take(items.engine(), INT32)).toEqual([{ n: 1 }]);
  });

  it.each([0, -1, 1.5, INT32 + 1, 2 ** 32, 2 ** 53, Infinity, ...NO_NUMBERS])('refuses %s', async (value) => {
    expect(await failureOf((async () => take(items.engine(), value))())).toBeInstanceOf(ArgumentError);
  });
});

describe.each(unlimited)('%s', (_name, take) => {
  it.each([INT32, INT32 + 1, 2 ** 40])('takes %d', async (value) => {
    expect(await take(items.engine(), value)).toBeDefined();
  });

  it.each([0, -1, 1.5, 2 ** 53, Infinity, ...NO_NUMBERS])('refuses %s', async (value) => {
    expect(await failureOf((async () => take(items.engine(), value))())).toBeInstanceOf(ArgumentError);
  });
});

describe.each(times)('%s', (_name, take) => {
  it('takes the longest time of a timer', async () => {
    await expect(Promise.resolve(take(items.engine(), INT32))).resolves.not.toThrow();
  });

  it.each([-1, INT32 + 1, 2 ** 53, Infinity, ...NO_NUMBERS])('refuses %s', async (value) => {
    expect(await failureOf((async () => take(items.engine(), value))())).toBeInstanceOf(ArgumentError);
  });
});

it('a ping has at least a millisecond: 0 is refused, and no session is given up for it', async () => {
  const engine = items.engine();
  await engine.execute(ONE);
  const [before] = await items.database.sessions();
  await expect(engine.ping({ timeout: 0 })).rejects.toThrow(/'timeout' must be milliseconds from 1/);
  const [after] = await items.database.sessions();
  expect(after).toMatchObject({ pid: before?.pid });
});
