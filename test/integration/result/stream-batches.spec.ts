import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { text } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { eventually } from '../../support/process/barrier.js';
import { ItemDatabase } from '../../support/items.js';

/** Rows of 1,000 bytes, with some that are ten times as long in the middle. */
const WIDE = text<{ n: number; filling: string }>(
  `SELECT n, repeat('x', CASE WHEN n BETWEEN 2000 AND 2100 THEN 10000 ELSE 1000 END) AS filling FROM generate_series(1, 4000) AS n`,
);
const NARROW = text<{ n: number }>('SELECT n FROM generate_series(1, 4000) AS n');

let items: ItemDatabase;

beforeAll(async () => {
  items = await ItemDatabase.open('stream_batches');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

/** An engine of one session, and how many bytes its socket has brought. */
async function watched(): Promise<{ readonly engine: AsyncEngine; readonly bytes: () => number }> {
  const engine = items.engine();
  let bytes = 0;
  engine.pool.on('connect', ({ driverConnection }) => {
    const { stream } = (driverConnection as { connection: { stream: NodeJS.ReadableStream } }).connection;
    stream.on('data', (chunk: Buffer) => (bytes += chunk.length));
  });
  await engine.execute(text('SELECT 1'));
  return { engine, bytes: () => bytes };
}

/** How many bytes have come once the first row was read and at least `least` are there. */
async function bytesAhead(bytes: () => number, rows: AsyncIterator<unknown>, least: number): Promise<number> {
  const before = bytes();
  await rows.next();
  await eventually(() => expect(bytes() - before).toBeGreaterThan(least));
  let last = -1;
  while (last !== bytes()) {
    last = bytes();
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }
  return bytes() - before;
}

describe('a stream', () => {
  it('fetches as many rows ahead as are about 40 KB, and not before so few are at hand', async () => {
    const { engine, bytes } = await watched();
    const rows = engine.stream(WIDE)[Symbol.asyncIterator]();

    // The first 1,000 rows, of which nothing was known.
    expect(await bytesAhead(bytes, rows, 1_000 * 1_000)).toBeLessThan(1_000 * 1_020);
    for (let read = 1; read < 940; read += 1) await rows.next();
    expect(await bytesAhead(bytes, rows, -1)).toBe(0);
    const before = bytes();
    for (let read = 941; read < 970; read += 1) await rows.next();
    await eventually(() => expect(bytes() - before).toBeGreaterThan(20_000));
    await bytesAhead(bytes, rows, -1);
    expect(bytes() - before).toBeLessThan(60_000);
    await rows.return?.();
  });

  it('has the next rows on their way also where all at hand are taken at once', async () => {
    const { engine, bytes } = await watched();
    const pages = engine.stream(WIDE).partitions()[Symbol.asyncIterator]();

    expect((await pages.next()).value).toHaveLength(1_000);
    const before = bytes();
    await eventually(() => expect(bytes() - before).toBeGreaterThan(20_000));
    await pages.return?.();
  });

  it.each([{ yieldPer: 1_000 }, { maxRowBuffer: 1_000 }])(
    'with %o fetches so many, however wide',
    async (options) => {
      const { engine, bytes } = await watched();
      const rows = engine.stream(WIDE, undefined, options)[Symbol.asyncIterator]();

      expect(await bytesAhead(bytes, rows, 2_000 * 1_000)).toBeLessThan(2_000 * 1_020 + 60_000);
      await rows.return?.();
    },
  );

  it.each([
    ['wide', WIDE],
    ['narrow', NARROW],
  ])('gives %s rows all and in their order', async (_, statement) => {
    const { engine } = await watched();
    const seen: number[] = [];
    for await (const { n } of engine.stream(statement)) seen.push(n);

    expect(seen).toEqual(Array.from({ length: 4_000 }, (_unused, index) => index + 1));
  });

  it('takes no more round trips for narrow rows than with 1,000 at a time', async () => {
    const { engine } = await watched();
    await engine.connect(async (connection) => {
      const { session } = await connection.getRawConnection();
      const tripsOf = async (options: { readonly yieldPer?: number }): Promise<number> => {
        const before = Number(session.roundTrips);
        await connection.stream(NARROW, undefined, options).all();
        return Number(session.roundTrips) - before;
      };
      await tripsOf({});

      expect(await tripsOf({})).toBe(await tripsOf({ yieldPer: 1_000 }));
    });
  });
});
