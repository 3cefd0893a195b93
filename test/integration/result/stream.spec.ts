import { from, lastValueFrom, take, toArray } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type AsyncEngine,
  ConnectionLostError,
  createAsyncEngine,
  DataError,
  IllegalStateError,
  InternalError,
  ResourceClosedError,
  text,
  TransactionEndedError,
} from 'nest-async-engine/engine';
import { eventually, Latch } from '../../support/process/barrier.js';
import { createDatabase, type SessionRow, type TestDatabase } from '../../support/server/postgres.js';

const numbers = (count: number) => text<{ n: number }>(`SELECT n FROM generate_series(1, ${count}) AS n`);
/** The second row of this one never comes. */
const STUCK = text<{ n: number }>(
  'SELECT n, pg_sleep(CASE WHEN n > 1 THEN 600 ELSE 0 END)::text FROM generate_series(1, 9) AS n',
);

let database: TestDatabase;
let engine: AsyncEngine;

beforeAll(async () => {
  database = await createDatabase('stream');
  await database.query('CREATE TABLE item (id int PRIMARY KEY)');
});
afterAll(() => database.drop());
beforeEach(async () => {
  await database.query('TRUNCATE item');
  engine = createAsyncEngine(database.url, { poolSize: 2, maxOverflow: 0, poolTimeout: 2_000 });
});
afterEach(() => engine.aclose());

/** The sessions that still do something, once nothing is on loan any more. */
const busySessions = async (): Promise<readonly SessionRow[]> => {
  await eventually(() => {
    if (engine.pool.checkedOut() > 0) throw new Error('a connection is still on loan');
  }, 2_000);
  return (await database.sessions()).filter(({ state }) => state !== 'idle');
};
const untilAsleep = (): Promise<number> =>
  eventually(async () => {
    const [asleep] = (await database.sessions()).filter(
      ({ state, query }) => state === 'active' && query.includes('pg_sleep'),
    );
    expect(asleep).toBeDefined();
    return asleep?.pid ?? 0;
  });

describe('an Observable of a stream', () => {
  it('emits every row and completes when the connection is back', async () => {
    const rows = await lastValueFrom(from(engine.stream(numbers(2_500))).pipe(toArray()));
    expect([rows.length, rows.at(-1), engine.pool.checkedOut()]).toEqual([2_500, { n: 2_500 }, 0]);
  });

  it('of a connection runs in its transaction', async () => {
    await engine.begin(async (connection) => {
      await connection.execute(text('INSERT INTO item VALUES (1)'));
      const rows = await lastValueFrom(from(connection.stream(text('SELECT id FROM item'))).pipe(toArray()));
      expect(rows).toEqual([{ id: 1 }]);
    });
  });

  it('gives everything back after take(1)', async () => {
    const rows = await lastValueFrom(from(engine.stream(numbers(100_000))).pipe(take(1), toArray()));
    expect(rows).toEqual([{ n: 1 }]);
    expect(await busySessions()).toEqual([]);
  });

  it('gives everything back after take(1) while the next fetch is stuck', async () => {
    const row = await lastValueFrom(from(engine.stream(STUCK, undefined, { yieldPer: 1 })).pipe(take(1)));
    expect(row.n).toBe(1);
    expect(await busySessions()).toEqual([]);
  });

  it('gives everything back when it is unsubscribed while the first fetch is stuck', async () => {
    const subscription = from(engine.stream(text('SELECT pg_sleep(600)::text'))).subscribe();
    await untilAsleep();
    subscription.unsubscribe();
    expect(await busySessions()).toEqual([]);
  });
});

describe('a loop over a stream', () => {
  it.each(['break', 'throw', 'return'])('closes the cursor on %s', async (way) => {
    const error = new Error('enough');
    const loop = async (): Promise<unknown> => {
      for await (const { n } of engine.stream(numbers(100_000))) {
        if (way === 'throw') throw error;
        if (way === 'return') return n;
        break;
      }
      return 'left';
    };
    const outcome = await loop().catch((failure: unknown) => failure);
    expect([outcome, engine.pool.checkedOut()]).toEqual([{ break: 'left', throw: error, return: 1 }[way], 0]);
  });

  it('leaves at once while the next fetch is stuck', async () => {
    for await (const { n } of engine.stream(STUCK, undefined, { yieldPer: 1 })) {
      expect(n).toBe(1);
      break;
    }
    expect(await busySessions()).toEqual([]);
  });

  it('lets other statements run on the connection meanwhile', async () => {
    await engine.begin(async (connection) => {
      for await (const { n } of connection.stream(numbers(30), undefined, { yieldPer: 10 })) {
        await connection.execute(text('INSERT INTO item VALUES (:n)'), { n });
      }
    });
    expect(await database.query('SELECT count(*)::int FROM item')).toEqual([{ count: 30 }]);
  });

  it('reads two streams of one connection in turn', async () => {
    await engine.connect(async (connection) => {
      const first = connection.stream(numbers(25), undefined, { yieldPer: 4 });
      const second = connection.stream(numbers(25), undefined, { yieldPer: 7 });
      for (let n = 1; n <= 25; n += 1) {
        expect([await first.fetchOne(), await second.fetchOne()]).toEqual([{ n }, { n }]);
      }
    });
  });
});

describe('what a stream may do', () => {
  it('writes and returns, in a transaction', async () => {
    const ids = await engine.transaction(() =>
      engine
        .stream(
          text<{ id: number }>('INSERT INTO item SELECT generate_series(1, 2500) RETURNING id'),
          undefined,
          { yieldPer: 100 },
        )
        .scalars('id')
        .all(),
    );
    expect([ids.length, await database.query('SELECT count(*)::int FROM item')]).toEqual([
      2_500,
      [{ count: 2_500 }],
    ]);
  });

  it('reads only, outside a transaction', async () => {
    const stream = engine.stream(text('INSERT INTO item VALUES (1) RETURNING id'));
    const failure: unknown = await stream.all().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(InternalError);
    expect(failure).toMatchObject({ sqlState: '25006' });
  });

  it('sees the rows of the transaction that is active where it was made', async () => {
    await engine.transaction(async () => {
      await engine.execute(text('INSERT INTO item VALUES (1)'));
      expect(await engine.stream(text('SELECT id FROM item')).all()).toEqual([{ id: 1 }]);
    });
  });

  it('refuses to begin when its transaction has ended', async () => {
    const late = await engine.transaction(() => Promise.resolve({ stream: engine.stream(numbers(1)) }));
    await expect(late.stream.all()).rejects.toBeInstanceOf(TransactionEndedError);
  });

  it('refuses to go on when its transaction has ended', async () => {
    const { stream } = await engine.transaction(async () => {
      const begun = engine.stream(numbers(100), undefined, { yieldPer: 10 });
      await begun.open();
      return { stream: begun };
    });
    await expect(stream.all()).rejects.toBeInstanceOf(TransactionEndedError);
    expect(await busySessions()).toEqual([]);
  });

  it('is refused after it was closed', async () => {
    const stream = engine.stream(numbers(100));
    await stream.first();
    await expect(stream.all()).rejects.toBeInstanceOf(ResourceClosedError);
  });
});

describe('the columns of a stream', () => {
  const two = text<{ n: number; t: string }>("SELECT 1 AS n, 'a'::text AS t");
  const fields = [
    { name: 'n', typeOid: 23 },
    { name: 't', typeOid: 25 },
  ];

  it('are known when it is open, and stay so after its end', async () => {
    const result = await engine.stream(two).open();
    expect([result.returnsRows, result.fields]).toEqual([true, fields]);
    await result.close();
    expect([result.returnsRows, result.fields]).toEqual([true, fields]);
  });

  it('are those that columns() and tuples() leave', async () => {
    const result = engine.stream(two);
    const tuples = result.tuples();
    expect(await tuples.columns('t').all()).toEqual([['a']]);
    expect([tuples.fields, result.fields]).toEqual([fields.slice(1), fields]);
  });

  it('do not exist for a statement without rows', async () => {
    await engine.begin(async (connection) => {
      await using result = await connection.stream(text('INSERT INTO item VALUES (1)')).open();
      expect([result.returnsRows, result.fields]).toEqual([false, []]);
      await result.close();
      expect([result.returnsRows, result.fields]).toEqual([false, []]);
    });
  });

  it('are not asked for before it is open: nothing is sent', async () => {
    const result = engine.stream(two);
    expect(() => result.returnsRows).toThrow(IllegalStateError);
    expect(() => result.fields).toThrow(/Await open\(\) first/);
    expect(engine.pool.checkedIn() + engine.pool.checkedOut()).toBe(0);
  });
});

describe('a stream that fails', () => {
  const DIVIDES = text<{ n: number }>('SELECT 1000 / (550 - n) AS n FROM generate_series(1, 10000) AS n');

  it('gives the rows before the batch with the error, then the error', async () => {
    const seen: number[] = [];
    const loop = async (): Promise<void> => {
      for await (const { n } of engine.stream(DIVIDES, undefined, { yieldPer: 100 })) seen.push(n);
    };
    const failure: unknown = await loop().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(DataError);
    expect([seen.length, failure]).toMatchObject([500, { sqlState: '22012' }]);
    expect(await busySessions()).toEqual([]);
  });

  it('fails the Observable, too, and does not complete it', async () => {
    const events: string[] = [];
    const ended = new Latch();
    from(engine.stream(DIVIDES, undefined, { yieldPer: 100 })).subscribe({
      error: (error: DataError) => {
        events.push(`error ${error.sqlState}`);
        ended.open();
      },
      complete: () => {
        events.push('complete');
        ended.open();
      },
    });
    await ended.opened;
    expect(events).toEqual(['error 22012']);
    expect(await busySessions()).toEqual([]);
  });

  it('says that the connection was lost when its backend is terminated between two fetches', async () => {
    const stream = engine.stream(numbers(1_000_000), undefined, { yieldPer: 10 });
    const rows = stream[Symbol.asyncIterator]();
    await rows.next();
    const [session] = (await database.sessions()).filter(({ state }) => state === 'idle in transaction');
    await database.query('SELECT pg_terminate_backend($1)', [session?.pid]);
    const drain = async (): Promise<void> => {
      for (let step = await rows.next(); step.done !== true; step = await rows.next());
    };
    const failure: unknown = await drain().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ConnectionLostError);
    await eventually(() => expect(engine.pool.checkedOut()).toBe(0));
  });

  it('says that the connection was lost when its backend is terminated during a fetch', async () => {
    const all = engine.stream(STUCK).all();
    const outcome = all.catch((error: unknown) => error);
    await database.query('SELECT pg_terminate_backend($1)', [await untilAsleep()]);
    expect(await outcome).toBeInstanceOf(ConnectionLostError);
    expect(await engine.scalar(text('SELECT 1'))).toBe(1);
  });
});

describe('the memory of a stream', () => {
  it('holds two batches at most, whatever the row count', async () => {
    await database.query('CREATE SEQUENCE produced');
    const statement = text<{ n: number }>(
      `SELECT n, nextval('produced') FROM generate_series(1, 100000) AS n`,
    );
    let ahead = 0;
    await engine.transaction(async () => {
      for await (const { n } of engine.stream(statement, undefined, { yieldPer: 100 })) {
        if (n % 5_000 !== 0) continue;
        const [row] = await database.query<{ produced: number }>(
          'SELECT last_value::int AS produced FROM produced',
        );
        ahead = Math.max(ahead, (row?.produced ?? 0) - n);
      }
    });
    expect(ahead).toBeGreaterThan(0);
    expect(ahead).toBeLessThanOrEqual(200);
  });
});

it('gives rows that follow one another to each of several fetches that are asked for at once', async () => {
  const stream = engine.stream(numbers(25));
  const lists = await Promise.all([stream.fetchMany(10), stream.fetchMany(10), stream.fetchMany(10)]);
  expect(lists.map((list) => [list[0]?.n, list.at(-1)?.n, list.length])).toEqual([
    [1, 10, 10],
    [11, 20, 10],
    [21, 25, 5],
  ]);
});

it('tells each of several fetches that the stream was closed before they came', async () => {
  const stream = engine.stream(STUCK, {}, { yieldPer: 1 });
  await stream.open();
  const fetches = [stream.fetchMany(5), stream.fetchMany(5)].map((fetch) =>
    fetch.catch((error: unknown) => error),
  );
  await stream.close();
  for (const failure of await Promise.all(fetches)) expect(failure).toBeInstanceOf(ResourceClosedError);
});
