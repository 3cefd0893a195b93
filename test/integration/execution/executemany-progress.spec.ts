import { text } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { failureOf, ItemDatabase, MemoryLogger } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
let logger: MemoryLogger;

beforeAll(async () => {
  items = await ItemDatabase.open('executemany_progress');
});
beforeEach(() => {
  logger = new MemoryLogger();
  engine = items.engine({ logger });
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const insert = text('INSERT INTO item (name) VALUES (:name)');
const update = text('UPDATE item SET place = :place WHERE name = :name');
const sets = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ name: `name ${index}`, place: index }));

function follow(): { done: number; total: number; sql: string | undefined }[] {
  const seen: { done: number; total: number; sql: string | undefined }[] = [];
  engine.on(
    'executemanyProgress',
    ({ done, total, statement: { sql } }) => void seen.push({ done, total, sql }),
  );
  return seen;
}

describe('the progress of an executemany', () => {
  it('is told after each page, with the last one as all of them', async () => {
    const seen = follow();
    await engine.execute(insert, sets(2_500));
    const sql = 'INSERT INTO item (name) VALUES ($1)';
    expect(seen).toEqual([1_000, 2_000, 2_500].map((done) => ({ done, total: 2_500, sql })));
  });

  it('is told of statements that run set by set, too, in pages of the size that is asked for', async () => {
    await engine.execute(insert, sets(30));
    const seen = follow();
    await engine.transaction(() => engine.execute(update, sets(30), { insertmanyvaluesPageSize: 10 }));
    expect(seen.map(({ done }) => done)).toEqual([10, 20, 30]);
  });

  it('ends with the page that is refused', async () => {
    const seen = follow();
    await failureOf(
      engine.execute(insert, [...sets(10), { name: 'name 0' }], { insertmanyvaluesPageSize: 5 }),
    );
    expect(seen.map(({ done }) => done)).toEqual([5, 10]);
    expect(await items.names()).toEqual([]);
  });

  it('goes on when a listener throws, whose error is logged', async () => {
    engine.on('executemanyProgress', () => {
      throw new RangeError('of the listener');
    });
    const { rowCount } = await engine.execute(insert, sets(20), { insertmanyvaluesPageSize: 10 });
    expect([rowCount, logger.errors.filter((line) => line.includes('of the listener')).length]).toEqual([
      20, 2,
    ]);
  });
});
