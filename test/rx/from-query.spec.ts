import { EventEmitter } from 'node:events';
import {
  concat,
  defer,
  delay,
  from,
  lastValueFrom,
  map,
  NEVER,
  type Observable,
  of,
  Subject,
  take,
  tap,
  throwError,
  timer,
  toArray,
} from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  type AsyncEngine,
  createAsyncEngine,
  QueryCanceledError,
  ResourceClosedError,
  text,
} from 'nest-async-engine/engine';
import { fromQuery } from 'nest-async-engine/rx';
import { eventually, Latch } from '../support/process/barrier.js';
import { createDatabase, type SessionRow, type TestDatabase } from '../support/server/postgres.js';

const numbers = (count: number) => text<{ n: number }>(`SELECT n FROM generate_series(1, ${count}) AS n`);
const ASLEEP = text('SELECT pg_sleep(600)::text');

let database: TestDatabase;
let engine: AsyncEngine;

beforeAll(async () => {
  database = await createDatabase('from_query');
  await database.query('CREATE TABLE item (id int PRIMARY KEY)');
  await database.query('CREATE SEQUENCE produced');
});
afterAll(() => database.drop());
beforeEach(async () => {
  await database.query('TRUNCATE item');
  await database.query('ALTER SEQUENCE produced RESTART');
  engine = createAsyncEngine(database.url, { poolSize: 3, maxOverflow: 0, poolTimeout: 2_000 });
});
afterEach(() => engine.aclose());

/** The sessions that still do something, once nothing is on loan any more. */
const busySessions = async (): Promise<readonly SessionRow[]> => {
  await eventually(() => {
    if (engine.pool.checkedOut() > 0) throw new Error('a connection is still on loan');
  }, 2_000);
  return (await database.sessions()).filter(({ state }) => state !== 'idle');
};
const untilAsleep = (): Promise<void> =>
  eventually(async () => {
    const asleep = (await database.sessions()).filter(
      ({ state, query }) => state === 'active' && query.includes('pg_sleep'),
    );
    expect(asleep).toHaveLength(1);
  });

/** A response that needs to drain after every `capacity` writes, and is drained by hand. */
class SlowResponse extends EventEmitter {
  writableNeedDrain = false;
  readonly written: unknown[] = [];
  readonly #capacity: number;

  constructor(capacity: number) {
    super();
    this.#capacity = capacity;
  }

  write(value: unknown): void {
    this.written.push(value);
    if (this.written.length % this.#capacity === 0) this.writableNeedDrain = true;
  }

  /** Resolves when the writer waits. */
  async needed(): Promise<void> {
    await eventually(() => {
      if (this.listenerCount('drain') === 0) throw new Error('nobody waits');
    });
  }

  drain(): void {
    this.writableNeedDrain = false;
    this.emit('drain');
  }
}

describe('fromQuery', () => {
  it('emits every row in order and completes when the connection is back', async () => {
    const rows = await lastValueFrom(
      fromQuery(engine, numbers(2_500)).pipe(
        map(({ n }) => n),
        toArray(),
      ),
    );
    expect([rows.length, rows[0], rows.at(-1), engine.pool.checkedOut()]).toEqual([2_500, 1, 2_500, 0]);
  });

  it('completes without a row', async () => {
    expect(await lastValueFrom(fromQuery(engine, numbers(0)).pipe(toArray()))).toEqual([]);
  });

  it('binds parameters', async () => {
    const query = fromQuery(engine, text<{ n: number }>('SELECT :n::int AS n'), { n: 7 });
    expect(await lastValueFrom(query)).toEqual({ n: 7 });
  });

  it('opens nothing before it is subscribed to', async () => {
    fromQuery(engine, numbers(1));
    expect(await database.sessions()).toEqual([]);
  });

  it('runs the statement anew for every subscription', async () => {
    const query = fromQuery(engine, text<{ n: number }>(`SELECT nextval('produced')::int AS n`));
    await engine.transaction(async () => {
      expect([await lastValueFrom(query), await lastValueFrom(query)]).toEqual([{ n: 1 }, { n: 2 }]);
    });
  });

  it('runs on a connection that is given, in its transaction', async () => {
    await engine.begin(async (connection) => {
      await connection.execute(text('INSERT INTO item VALUES (1)'));
      expect(await lastValueFrom(fromQuery(connection, text('SELECT id FROM item')))).toEqual({ id: 1 });
    });
  });

  it('runs in the transaction that is active where it is subscribed to', async () => {
    const query = fromQuery(engine, text('SELECT id FROM item'));
    await engine.transaction(async () => {
      await engine.execute(text('INSERT INTO item VALUES (1)'));
      expect(await lastValueFrom(query)).toEqual({ id: 1 });
    });
  });

  it('fails with what is wrong with the statement', async () => {
    await expect(lastValueFrom(fromQuery(engine, text('SELECT nonsense')))).rejects.toMatchObject({
      sqlState: '42703',
    });
    expect(await busySessions()).toEqual([]);
  });

  it.each([0, 1.5, Number.NaN])('refuses a concurrency of %s', (concurrency) => {
    expect(() => fromQuery(engine, numbers(1), undefined, { concurrency })).toThrow(ArgumentError);
  });
});

describe('unsubscribing', () => {
  it('closes the cursor after take(1), whatever is left', async () => {
    await lastValueFrom(fromQuery(engine, numbers(100_000)).pipe(take(1)));
    expect(await busySessions()).toEqual([]);
  });

  it('closes it at once while the server is busy with a fetch', async () => {
    const subscription = fromQuery(engine, ASLEEP).subscribe();
    await untilAsleep();
    subscription.unsubscribe();
    expect(await busySessions()).toEqual([]);
  });

  it('closes it while a projection is running, and stops that', async () => {
    const stopped = new Latch();
    const started = new Latch();
    const project = () =>
      defer(() => (started.open(), NEVER)).pipe(tap({ unsubscribe: () => stopped.open() }));
    const subscription = fromQuery(engine, numbers(100_000), undefined, { project }).subscribe();
    await started.opened;
    subscription.unsubscribe();
    await stopped.opened;
    expect(await busySessions()).toEqual([]);
  });

  it('emits nothing of the batch at hand any more', async () => {
    const seen: number[] = [];
    await lastValueFrom(
      fromQuery(engine, numbers(50)).pipe(
        tap(({ n }) => seen.push(n)),
        take(3),
      ),
    );
    expect(seen).toEqual([1, 2, 3]);
  });
});

describe('project', () => {
  it('keeps the order of the rows by default', async () => {
    const project = ({ n }: { n: number }) => timer(6 - 2 * n).pipe(map(() => n));
    expect(
      await lastValueFrom(fromQuery(engine, numbers(3), undefined, { project }).pipe(toArray())),
    ).toEqual([1, 2, 3]);
  });

  it('runs as many at once as asked, and no more', async () => {
    let running = 0;
    let most = 0;
    const project = ({ n }: { n: number }) =>
      defer(() => {
        running += 1;
        most = Math.max(most, running);
        return of(n).pipe(delay(1), tap({ complete: () => (running -= 1) }));
      });
    const values = await lastValueFrom(
      fromQuery(engine, numbers(40), undefined, { project, concurrency: 4, batchSize: 10 }).pipe(toArray()),
    );
    expect([values.length, most]).toEqual([40, 4]);
  });

  it('emits in the order in which concurrent projections end', async () => {
    const first = new Subject<string>();
    const project = ({ n }: { n: number }) =>
      n === 1
        ? first
        : defer(() => (queueMicrotask(() => (first.next('slow'), first.complete())), of('fast')));
    const values = await lastValueFrom(
      fromQuery(engine, numbers(2), undefined, { project, concurrency: 2 }).pipe(toArray()),
    );
    expect(values).toEqual(['fast', 'slow']);
  });

  it('completes only after the last projection', async () => {
    const gate = new Subject<string>();
    const events: string[] = [];
    const ended = new Latch();
    fromQuery(engine, numbers(1), undefined, { project: () => gate }).subscribe({
      next: (value) => events.push(value),
      complete: () => {
        events.push('complete');
        ended.open();
      },
    });
    await eventually(() => expect([gate.observed, engine.pool.checkedOut()]).toEqual([true, 0]));
    gate.next('value');
    gate.complete();
    await ended.opened;
    expect(events).toEqual(['value', 'complete']);
  });

  it('takes a promise and runs in the async context of the subscriber', async () => {
    const project = ({ n }: { n: number }) =>
      engine.scalar<number>(text('INSERT INTO item VALUES (:n) RETURNING id'), { n });
    await engine
      .transaction(async () => {
        await lastValueFrom(
          fromQuery(engine, numbers(30), undefined, { project, batchSize: 7, concurrency: 3 }),
        );
        throw new Error('undo');
      })
      .catch(() => undefined);
    expect(await database.query('SELECT * FROM item')).toEqual([]);
  });

  it.each([
    ['fails', () => throwError(() => new Error('enough'))],
    ['rejects', () => Promise.reject(new Error('enough'))],
    [
      'throws',
      (): Promise<number> => {
        throw new Error('enough');
      },
    ],
  ])('closes the cursor before the error when it %s', async (_, project) => {
    let onLoan: number | undefined;
    const query = fromQuery(engine, numbers(100_000), undefined, { project, batchSize: 10 });
    const failure: unknown = await lastValueFrom(
      query.pipe(tap({ error: () => (onLoan = engine.pool.checkedOut()) })),
    ).catch((error: unknown) => error);
    expect([failure, onLoan]).toEqual([new Error('enough'), 0]);
  });

  it('stops the other projections when one fails', async () => {
    const other = new Subject<number>();
    const project = ({ n }: { n: number }): Observable<number> =>
      n === 1 ? other : throwError(() => new Error('enough'));
    const query = fromQuery(engine, numbers(100), undefined, { project, concurrency: 2 });
    await expect(lastValueFrom(query)).rejects.toThrow('enough');
    expect(other.observed).toBe(false);
  });

  it('fails when one fails after the last row, while another is running', async () => {
    const late = new Subject<number>();
    const project = ({ n }: { n: number }): Observable<number> => (n === 1 ? late : NEVER);
    const outcome = lastValueFrom(
      fromQuery(engine, numbers(2), undefined, { project, concurrency: 2 }),
    ).catch(String);
    await eventually(() => expect([late.observed, engine.pool.checkedOut()]).toEqual([true, 0]));
    late.error(new Error('enough'));
    expect(await outcome).toBe('Error: enough');
  });

  it('is asked for no more once the subscriber has enough', async () => {
    const asked: number[] = [];
    const project = ({ n }: { n: number }): Observable<number> => {
      asked.push(n);
      return of(n);
    };
    await lastValueFrom(fromQuery(engine, numbers(50), undefined, { project }).pipe(take(2)));
    expect(asked).toEqual([1, 2]);
  });

  it('keeps few rows in flight over 100,000 rows and a slow consumer', async () => {
    const statement = text<{ n: number }>(
      `SELECT n, nextval('produced') FROM generate_series(1, 100000) AS n`,
    );
    let ahead = 0;
    const compare = async (n: number): Promise<void> => {
      const [row] = await database.query<{ produced: number }>(
        'SELECT last_value::int AS produced FROM produced',
      );
      ahead = Math.max(ahead, (row?.produced ?? 0) - n);
    };
    const project = ({ n }: { n: number }) => (n % 5_000 === 0 ? compare(n).then(() => n) : of(n));
    // nextval() writes, which the read-only transaction of a stream of its own refuses.
    const last = await engine.transaction(() =>
      lastValueFrom(fromQuery(engine, statement, undefined, { project, batchSize: 100 })),
    );
    expect(last).toBe(100_000);
    expect(ahead).toBeGreaterThan(0);
    expect(ahead).toBeLessThanOrEqual(200);
  });
});

describe('pace', () => {
  it('waits for the response to drain before the next row', async () => {
    const response = new SlowResponse(10);
    const done = lastValueFrom(
      fromQuery(engine, numbers(25), undefined, { pace: response }).pipe(tap((row) => response.write(row))),
    );
    await response.needed();
    expect(response.written).toHaveLength(10);
    response.drain();
    await response.needed();
    expect(response.written).toHaveLength(20);
    response.drain();
    await done;
    expect(response.written).toHaveLength(25);
  });

  it('notices a response that is written to a little later', async () => {
    const response = new SlowResponse(10);
    const writes = fromQuery(engine, numbers(200), undefined, { pace: response }).subscribe((row) => {
      process.nextTick(() => response.write(row));
    });
    await response.needed();
    expect(response.written.length).toBeLessThanOrEqual(32);
    writes.unsubscribe();
  });

  it('leaves no listener behind after draining', async () => {
    const response = new SlowResponse(3);
    const done = lastValueFrom(
      fromQuery(engine, numbers(5), undefined, { pace: response }).pipe(tap((row) => response.write(row))),
    );
    await response.needed();
    response.drain();
    await done;
    expect(response.eventNames()).toEqual([]);
  });

  it('is also set by what has `once()` and no `off()`', async () => {
    const response = new SlowResponse(10);
    const pace = {
      get writableNeedDrain(): boolean {
        return response.writableNeedDrain;
      },
      once: (event: string, listener: () => void): unknown => response.once(event, listener),
    };
    const done = lastValueFrom(
      fromQuery(engine, numbers(15), undefined, { pace }).pipe(tap((row) => response.write(row))),
    );
    await response.needed();
    expect(response.written).toHaveLength(10);
    response.drain();
    await done;
    expect(response.written).toHaveLength(15);
  });

  it('closes the cursor when it is unsubscribed while it waits, and leaves no listener behind', async () => {
    const response = new SlowResponse(3);
    const writes = fromQuery(engine, numbers(100_000), undefined, { pace: response }).subscribe((row) =>
      response.write(row),
    );
    await response.needed();
    writes.unsubscribe();
    expect(await busySessions()).toEqual([]);
    expect(response.eventNames()).toEqual([]);
  });

  it.each(['close', 'error'])('gives up with an error on %s of the response', async (event) => {
    const response = new SlowResponse(3);
    const outcome = lastValueFrom(
      fromQuery(engine, numbers(100_000), undefined, { pace: response }).pipe(
        tap((row) => response.write(row)),
      ),
    ).catch((error: unknown) => error);
    await response.needed();
    response.emit(event, new Error('hung up'));
    expect(await outcome).toBeInstanceOf(ResourceClosedError);
    expect(await busySessions()).toEqual([]);
    expect(response.eventNames()).toEqual([]);
  });

  it('gives up on a response that is destroyed already', async () => {
    const response = {
      writableNeedDrain: false,
      destroyed: true,
      once: () => undefined,
      off: () => undefined,
    };
    const query = fromQuery(engine, numbers(10), undefined, { pace: response });
    await expect(lastValueFrom(query)).rejects.toBeInstanceOf(ResourceClosedError);
  });
});

describe('timeout and signal', () => {
  it('ends a query that takes longer than its timeout', async () => {
    await expect(lastValueFrom(fromQuery(engine, ASLEEP, undefined, { timeout: 50 }))).rejects.toBeInstanceOf(
      QueryCanceledError,
    );
    expect(await busySessions()).toEqual([]);
  });

  it('does not count the time of the consumer', async () => {
    const project = ({ n }: { n: number }) => of(n).pipe(delay(40));
    const query = fromQuery(engine, numbers(4), undefined, { project, timeout: 120, batchSize: 1 });
    expect(await lastValueFrom(query)).toBe(4);
  });

  it('ends the query when its signal is aborted during a fetch', async () => {
    const abort = new AbortController();
    const outcome = lastValueFrom(fromQuery(engine, ASLEEP, undefined, { signal: abort.signal })).catch(
      (error: unknown) => error,
    );
    await untilAsleep();
    abort.abort();
    expect(await outcome).toBeInstanceOf(QueryCanceledError);
    expect(await busySessions()).toEqual([]);
  });

  it('ends the query when its signal is aborted while the consumer is busy', async () => {
    const abort = new AbortController();
    const project = () => defer(() => (abort.abort(), NEVER));
    const query = fromQuery(engine, numbers(1), undefined, { project, signal: abort.signal });
    await expect(lastValueFrom(query)).rejects.toBeInstanceOf(QueryCanceledError);
    expect(await busySessions()).toEqual([]);
  });

  it('sends nothing when its signal is aborted before', async () => {
    const query = fromQuery(engine, numbers(1), undefined, { signal: AbortSignal.abort() });
    await expect(lastValueFrom(query)).rejects.toBeInstanceOf(QueryCanceledError);
    expect(await database.sessions()).toEqual([]);
  });
});

it('composes with other Observables', async () => {
  const rows = concat(fromQuery(engine, numbers(2)), from([{ n: 3 }]));
  expect(
    await lastValueFrom(
      rows.pipe(
        map(({ n }) => n),
        toArray(),
      ),
    ),
  ).toEqual([1, 2, 3]);
});
