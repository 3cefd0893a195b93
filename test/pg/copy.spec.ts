import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { NestedScopeBusyError, PendingRollbackError, text } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { asPool } from 'nest-async-engine/pg';
import { CopyFrom, CopyTo } from '../support/doubles/copy-streams.js';
import { failureOf, insert, ItemDatabase, MemoryLogger } from '../support/items.js';

/** More than the sockets between the server and its reader hold. */
const MANY = `COPY (SELECT repeat('x', 1000) FROM generate_series(1, 20000)) TO STDOUT`;
const MANY_BYTES = 20_000 * 1_001;

let items: ItemDatabase;
let engine: AsyncEngine;
let pool: pg.Pool;
beforeAll(async () => {
  items = await ItemDatabase.open('pg_copy');
});
beforeEach(() => {
  engine = items.engine({ nestedWaitTimeout: 200, logger: new MemoryLogger() });
  pool = asPool(engine);
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const one = text('SELECT 1');

async function withClient<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    return await work(client);
  } finally {
    client.release();
  }
}

describe('COPY of a borrowed client, inside a transaction of the engine', () => {
  it('TO: a statement in its read loop is refused once nothing moves, and the loop goes on', async () => {
    let bytes = 0;
    await engine.transaction(async () => {
      await withClient(async (client) => {
        for await (const chunk of client.query(new CopyTo(MANY))) {
          if (bytes === 0) expect(await failureOf(engine.execute(one))).toBeInstanceOf(NestedScopeBusyError);
          bytes += (chunk as Buffer).length;
        }
      });
      await engine.execute(insert('behind'));
    });
    expect([bytes, await items.names()]).toEqual([MANY_BYTES, ['behind']]);
  });

  it('TO: a reader that is slow and reads on does not end the wait of a statement beside it', async () => {
    await engine.transaction(async () => {
      await withClient(async (client) => {
        const copy = client.query(new CopyTo(MANY));
        const beside = Promise.resolve(engine.scalar(one));
        let chunks = 0;
        for await (const _ of copy) {
          chunks += 1;
          // Longer than nestedWaitTimeout in all.
          if (chunks % 200 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
        }
        expect(await beside).toBe(1);
      });
    });
  });

  it('TO: one that nothing reads is read to its end when its client is released', async () => {
    await engine.transaction(async () => {
      await engine.execute(insert('before'));
      await withClient(async (client) => void client.query(new CopyTo(MANY)));
    });
    expect(await items.names()).toEqual(['before']);
  });

  it('TO: one whose loop was left ends its connection, and nothing waits for it', async () => {
    const work = engine.transaction(async () => {
      await engine.execute(insert('before'));
      await withClient(async (client) => {
        for await (const _ of client.query(new CopyTo(MANY))) break;
      });
    });
    const failure = await failureOf(work);
    expect(failure).toBeInstanceOf(PendingRollbackError);
    expect(String((failure as Error).cause)).toContain('a COPY TO was left before its last row');
    expect(await items.names()).toEqual([]);
    expect(await engine.scalar(one)).toBe(1);
  });

  it('FROM: a statement between its rows is refused once nothing moves, and the rows are stored', async () => {
    await engine.transaction(() =>
      withClient(async (client) => {
        const copy = client.query(new CopyFrom('COPY item (name) FROM STDIN'));
        await copy.write('one');
        expect(await failureOf(engine.execute(one))).toBeInstanceOf(NestedScopeBusyError);
        await copy.write('two');
        await copy.end();
      }),
    );
    expect(await items.names()).toEqual(['one', 'two']);
  });
});

it('COPY TO of a client of its own that nothing reads leaves a pool that works', async () => {
  await withClient(async (client) => void client.query(new CopyTo(MANY)));
  expect(await engine.scalar(one)).toBe(1);
});
