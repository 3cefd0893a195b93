import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildMemorySubject } from '../../support/process/memory-child.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';

/** LONG=1: a million rows instead of 200,000. */
const ROWS = process.env['LONG'] === '1' ? 1_000_000 : 200_000;
const MEBIBYTE = 2 ** 20;
const FLAT = 64 * MEBIBYTE;

let database: TestDatabase;
let subject: Awaited<ReturnType<typeof buildMemorySubject>>;

beforeAll(async () => {
  database = await createDatabase('memory');
  subject = await buildMemorySubject();
});
afterAll(async () => {
  await subject.remove();
  await database.drop();
});

it.each(['iterate', 'readable', 'fromQuery', 'copyFrom', 'copyTo'])(
  `streams ${ROWS.toLocaleString('en')} wide rows by %s within 64 MiB above idle`,
  { timeout: 120_000 },
  async (way) => {
    const { rows, aboveIdle } = await subject.run(way, database.url, ROWS);
    expect(rows).toBe(ROWS);
    expect(Math.round(aboveIdle / MEBIBYTE)).toBeLessThanOrEqual(FLAT / MEBIBYTE);
  },
);

it(
  'would see the rows if they were held: all of them in memory need more',
  { timeout: 120_000 },
  async () => {
    const { aboveIdle } = await subject.run('buffered', database.url, 200_000);
    expect(aboveIdle).toBeGreaterThan(FLAT);
  },
);
