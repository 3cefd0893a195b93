import { text, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { insert, ItemDatabase } from '../../../support/items.js';

/** Milliseconds after which the server counts as silent, which it is not: it answers within a few. */
const LIMIT = 1_000;

let items: ItemDatabase;

beforeAll(async () => {
  items = await ItemDatabase.open('silence');
});

afterEach(() => items.expectClean());

afterAll(() => items.close());

/** Holds the event loop, as a computation of the application does. */
function standStill(time: number): void {
  const end = performance.now() + time;
  while (performance.now() < end);
}

/** An engine whose one session is open and idle. */
async function engineAtRest(options: Parameters<typeof items.engine>[0]): Promise<AsyncEngine> {
  const engine = items.engine({ poolSize: 1, maxOverflow: 0, ...options });
  await engine.execute(text('SELECT 1'));
  return engine;
}

describe('in a process that stands still, a server that answers is not silent', () => {
  it('when the statement is sent by a timer that is due with the one of the idle session', async () => {
    const engine = items.engine({ poolSize: 1, maxOverflow: 0, socketTimeout: LIMIT });
    // Node looks what is due before it runs what the first one does: in front of it, of the same time.
    const due = new Promise((resolve) => setTimeout(resolve, LIMIT));
    await engine.execute(text('SELECT 1'));
    standStill(LIMIT + 200);
    await due;
    expect(await engine.scalar(text('SELECT 2 FROM pg_sleep(0.2)'))).toBe(2);
  });

  it('when the answer comes before the process looks for it', async () => {
    const engine = await engineAtRest({ socketTimeout: LIMIT });
    const answer = engine.scalar(text('SELECT 3'));
    standStill(LIMIT + 200);
    expect(await answer).toBe(3);
  });

  it('when that is the answer to COMMIT', async () => {
    const engine = await engineAtRest({ commitTimeout: LIMIT });
    const connection = await engine.connect();
    const transaction = await connection.begin();
    await connection.execute(insert('kept'));
    const committed = transaction.commit();
    standStill(LIMIT + 200);
    await committed;
    await connection.close();
    expect(await items.names()).toEqual(['kept']);
  });
});
