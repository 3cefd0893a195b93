import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { text } from 'nest-async-engine/engine';
import type { AsyncConnection, AsyncEngine } from 'nest-async-engine/engine';
import { eventually } from '../../support/process/barrier.js';
import { failureOf, insert, ItemDatabase } from '../../support/items.js';

type End = 'success' | 'throw' | 'abort';
type Body = (run: (sql: string, signal?: AbortSignal) => PromiseLike<unknown>) => Promise<void>;
/** One way to borrow something, to work with it and to give it back. */
type Form = (engine: AsyncEngine, body: Body) => Promise<void>;

let items: ItemDatabase;
beforeAll(async () => {
  items = await ItemDatabase.open('disposal');
});
// Nothing may be on loan, and no session in a transaction.
afterEach(() => items.expectClean());
afterAll(() => items.close());

const on =
  (connection: AsyncConnection | AsyncEngine) =>
  (sql: string, signal?: AbortSignal): PromiseLike<unknown> =>
    connection.execute(text(sql), undefined, { signal });

const many = text('SELECT generate_series(1, 5000) AS n');

const FORMS: Readonly<Record<string, Form>> = {
  'a connection, await using': async (engine, body) => {
    await using connection = await engine.connect();
    await body(on(connection));
    await connection.commit();
  },
  'a connection, callback': (engine, body) =>
    engine.connect(async (connection) => {
      await body(on(connection));
      await connection.commit();
    }),
  'a connection, explicit close': async (engine, body) => {
    const connection = await engine.connect();
    try {
      await body(on(connection));
      await connection.commit();
    } finally {
      await connection.close();
    }
  },
  'a nested transaction, await using': (engine, body) =>
    engine.begin(async (connection) => {
      await using nested = await connection.beginNested();
      await body(on(connection));
      await nested.commit();
    }),
  'a nested transaction, callback': (engine, body) =>
    engine.begin((connection) => connection.beginNested(() => body(on(connection)))),
  'a nested transaction, explicit close': (engine, body) =>
    engine.begin(async (connection) => {
      const nested = await connection.beginNested();
      try {
        await body(on(connection));
        await nested.commit();
      } finally {
        await nested.close();
      }
    }),
  'a stream, await using': (engine, body) =>
    engine.begin(async (connection) => {
      await using rows = connection.stream(many, undefined, { yieldPer: 10 });
      await rows.fetchOne();
      await body(on(connection));
    }),
  'a stream, loop': (engine, body) =>
    engine.begin(async (connection) => {
      for await (const _ of connection.stream(many, undefined, { yieldPer: 10 })) {
        await body(on(connection));
        break;
      }
    }),
  'a stream, explicit close': (engine, body) =>
    engine.begin(async (connection) => {
      const rows = connection.stream(many, undefined, { yieldPer: 10 });
      try {
        await rows.fetchOne();
        await body(on(connection));
      } finally {
        await rows.close();
      }
    }),
  'an ambient transaction, callback': (engine, body) => engine.transaction(() => body(on(engine))),
  'a scope, callback': (engine, body) => engine.scope(() => body(on(engine.currentConnection()))),
  'a scope, leases': async (engine, body) => {
    const scope = engine.openScope();
    const lease = scope.lease();
    try {
      await scope.run(() => body(on(engine.currentConnection())));
      await scope.complete();
    } finally {
      await scope.fail();
      await lease.release();
    }
  },
};

/** The work of one test: a row, then its end. */
function bodyFor(end: End): Body {
  return async (run) => {
    await run(`INSERT INTO item (name) VALUES ('one')`);
    if (end === 'success') return;
    if (end === 'throw') throw new RangeError('throw');
    const controller = new AbortController();
    const slow = run('SELECT pg_sleep(30)', controller.signal);
    controller.abort();
    await slow;
  };
}

describe.each(Object.entries(FORMS))('%s', (_, form) => {
  it.each(['success', 'throw', 'abort'] as const)('is given back and settled on %s', async (end) => {
    const engine = items.engine();
    if (end === 'success') await form(engine, bodyFor(end));
    else await failureOf(form(engine, bodyFor(end)));
    expect(engine.pool.checkedOut()).toBe(0);
    expect(await items.names()).toEqual(end === 'success' ? ['one'] : []);
    await engine.execute(insert('next borrower'));
  });
});

describe('a raw connection', () => {
  const raw: Readonly<Record<string, (engine: AsyncEngine, error?: Error) => Promise<void>>> = {
    'await using': async (engine, error) => {
      await using pooled = await engine.rawConnection();
      await pooled.session.execute([], { text: 'BEGIN' });
      if (error !== undefined) throw error;
    },
    'explicit close': async (engine, error) => {
      const pooled = await engine.rawConnection();
      try {
        await pooled.session.execute([], { text: 'BEGIN' });
        if (error !== undefined) throw error;
      } finally {
        await pooled.close();
      }
    },
  };
  it.each(Object.entries(raw))('%s: is reset and given back, on success and on throw', async (_, borrow) => {
    const engine = items.engine();
    await borrow(engine);
    await expect(borrow(engine, new RangeError('throw'))).rejects.toThrow('throw');
    expect(engine.pool.checkedOut()).toBe(0);
    expect((await items.database.sessions()).map(({ state }) => state)).toEqual(['idle']);
  });
});

describe('an engine', () => {
  it('is closed at the end of `await using`, also when its block throws', async () => {
    const block = async (): Promise<void> => {
      await using engine = items.engine();
      await engine.execute(insert('one'));
      throw new RangeError('throw');
    };
    await expect(block()).rejects.toThrow('throw');
    await eventually(async () => expect(await items.database.sessions()).toEqual([]));
  });
});
