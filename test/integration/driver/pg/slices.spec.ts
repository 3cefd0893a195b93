import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ConnectionLostError, DataError, QueryCanceledError, sql } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { failureOf, ItemDatabase } from '../../../support/items.js';

const ROWS = 40_000;
const LARGE = sql`SELECT g AS id, repeat('x', 200) AS filling FROM generate_series(1, ${ROWS}::int) g`;
const FAILS = sql`SELECT 1 / (${ROWS}::int - g) AS id, repeat('x', 200) AS filling FROM generate_series(1, ${ROWS}::int) g`;
/** What is read of one answer in one turn at most: a slice and what the socket had read already. */
const MOST_IN_TURN = 131_072 + 2 * 65_536;
/** What Node.js reads of a socket at once. */
const READ = 65_536;

let items: ItemDatabase;

beforeAll(async () => {
  items = await ItemDatabase.open('slices');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

/** An engine of one session, and what its socket brings. */
async function watched(
  onData: (bytes: number, socket: Socket) => void,
): Promise<{ readonly engine: AsyncEngine; readonly stop: () => void }> {
  const engine = items.engine();
  let socket: Socket | undefined;
  engine.pool.on('connect', ({ driverConnection }) => {
    socket = (driverConnection as { connection: { stream: Socket } }).connection.stream;
  });
  await engine.execute(sql`SELECT 1`);
  const listener = (chunk: Buffer): void => onData(chunk.length, socket as Socket);
  socket?.on('data', listener);
  return { engine, stop: () => socket?.off('data', listener) };
}

/** Calls `turn` once in each turn of the event loop, until the function that you get is called. */
function eachTurn(turn: () => void): () => void {
  let state: 'going' | 'stopped' = 'going';
  const next = (): void => {
    turn();
    if (state === 'going') setImmediate(next);
  };
  setImmediate(next);
  return () => void (state = 'stopped');
}

/** The process does nothing, while the server fills the socket's buffers. */
function fallBehind(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
}

describe('a large answer', () => {
  it('is read in slices, between which all else has its turn', async () => {
    const turns = [0];
    const { engine } = await watched((bytes) => void (turns[turns.length - 1]! += bytes));
    const stop = eachTurn(() => turns.push(0));
    const reading = engine.execute(LARGE).all();
    await new Promise((resolve) => setImmediate(resolve));
    fallBehind();
    const rows = await reading;
    stop();

    expect([rows.length, rows[0]?.['id'], rows.at(-1)?.['id']]).toEqual([ROWS, 1, ROWS]);
    expect(Math.max(...turns)).toBeLessThanOrEqual(MOST_IN_TURN);
    const slices = turns.filter((bytes) => bytes > 0).toSorted((one, next) => one - next);
    expect(slices[slices.length >> 1]).toBeLessThanOrEqual(READ);
  });

  it('lets reads of other sessions end before it', async () => {
    const quick = items.engine();
    await quick.execute(sql`SELECT 1`);
    const order: string[] = [];
    const { engine } = await watched(() => order.push('slice'));
    const reading = engine.execute(LARGE).all();
    await new Promise((resolve) => setImmediate(resolve));
    fallBehind();
    let state: 'reading' | 'read' = 'reading';
    const read = reading.then(() => (state = 'read'));
    while ((state as string) === 'reading') {
      await quick.execute(sql`SELECT 1`);
      order.push('quick');
    }
    await read;

    const between = order.slice(order.indexOf('slice'), order.lastIndexOf('slice'));
    expect(between.filter((what) => what === 'quick').length).toBeGreaterThan(5);
  });

  it('that fails in its middle is an error, and its session goes on', async () => {
    const { engine } = await watched(() => undefined);
    const failing = failureOf(engine.execute(FAILS).all());
    await new Promise((resolve) => setImmediate(resolve));
    fallBehind();

    expect(await failing).toBeInstanceOf(DataError);
    expect(await engine.scalar(sql`SELECT 2`)).toBe(2);
    expect(engine.pool.checkedIn()).toBe(1);
  });

  it('that is cancelled between two slices leaves a session that goes on', async () => {
    const abort = new AbortController();
    const { engine, stop } = await watched((_, socket) => {
      if (socket.isPaused()) abort.abort();
    });
    const failure = await failureOf(
      engine.execute(sql`SELECT g, repeat('x', 200) FROM generate_series(1, 10000000) g`, undefined, {
        signal: abort.signal,
      }),
    );
    stop();

    expect(failure).toBeInstanceOf(QueryCanceledError);
    expect(await engine.scalar(sql`SELECT 2`)).toBe(2);
  });

  it('whose socket ends between two slices is a lost connection', async () => {
    const { engine } = await watched((_, socket) => {
      if (socket.isPaused()) socket.destroy();
    });

    expect(await failureOf(engine.execute(LARGE))).toBeInstanceOf(ConnectionLostError);
    expect(await engine.scalar(sql`SELECT 2`)).toBe(2);
  });

  it('of a COPY stays unread while its reader has enough', async () => {
    let bytes = 0;
    const { engine } = await watched((more) => void (bytes += more));
    const size = 20 * ROWS * 200;
    const reader = engine.copyTo(
      `COPY (SELECT repeat('x', 200) FROM generate_series(1, ${20 * ROWS})) TO STDOUT`,
    );
    for await (const chunk of reader) {
      expect(chunk.length).toBeGreaterThan(0);
      for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      break;
    }

    expect(bytes).toBeLessThan(size / 4);
    expect(await engine.scalar(sql`SELECT 2`)).toBe(2);
  });
});
