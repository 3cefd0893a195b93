import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sql } from 'nest-async-engine';
import type { AsyncEngine } from 'nest-async-engine';
import { expectStatements } from 'nest-async-engine/testing';
import { Barrier } from '../../support/process/barrier.js';
import { ItemDatabase } from '../../support/items.js';

describe('expectStatements()', () => {
  let items: ItemDatabase;
  let engine: AsyncEngine;

  beforeAll(async () => {
    items = await ItemDatabase.open('expect_statements');
    engine = items.engine({ poolSize: 2 });
  });

  afterAll(async () => {
    await items.expectClean();
    await items.close();
  });

  const two = async (): Promise<string> => {
    await engine.execute(sql`SELECT 1`);
    await engine.execute(sql`SELECT 2`);
    return 'done';
  };

  it('gives what the work gives when the number is right, transaction control not counted', async () => {
    expect(await expectStatements(2, () => engine.transaction(two))).toBe('done');
  });

  it.each([1, 3])('fails with a list of what was sent where %d were expected', async (count) => {
    await expect(expectStatements(count, two)).rejects.toThrow(
      `${count} statements were expected, and 2 were sent:\n1. SELECT 1\n2. SELECT 2`,
    );
  });

  it('does not count what runs beside it', async () => {
    const meeting = new Barrier(2);
    const run = async (): Promise<string> => {
      await meeting.arrive();
      return await two();
    };
    const both = await Promise.all([expectStatements(2, run), expectStatements(2, run)]);
    expect(both).toEqual(['done', 'done']);
  });

  it('throws what the work throws, and counts nothing then', async () => {
    const failing = async (): Promise<void> => {
      throw new Error('mine');
    };
    await expect(expectStatements(5, failing)).rejects.toThrow('mine');
  });

  it.each([[-1], [1.5], ['2']])('refuses %j', async (count) => {
    await expect(expectStatements(count as number, two)).rejects.toThrow('expectStatements()');
  });
});
