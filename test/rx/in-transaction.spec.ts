import { AsyncLocalStorage } from 'node:async_hooks';
import {
  concat,
  concatMap,
  defer,
  EMPTY,
  firstValueFrom,
  from,
  ignoreElements,
  lastValueFrom,
  NEVER,
  type Observable,
  of,
  Subject,
  take,
  tap,
  throwError,
  toArray,
} from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  type AsyncEngine,
  createAsyncEngine,
  ForeignKeyViolationError,
  PropagationError,
  SerializationFailureError,
  text,
  TransactionTimeoutError,
  UnexpectedRollbackError,
  UnsubscribedError,
} from 'nest-async-engine/engine';
import { fromQuery, inTransaction } from 'nest-async-engine/rx';
import { MemoryLogger } from '../support/items.js';
import { eventually, Latch } from '../support/process/barrier.js';
import { createDatabase, type SessionRow, type TestDatabase } from '../support/server/postgres.js';

let database: TestDatabase;
let engine: AsyncEngine;

beforeAll(async () => {
  database = await createDatabase('in_transaction');
  await database.query(
    'CREATE TABLE item (id int PRIMARY KEY, parent int REFERENCES item DEFERRABLE INITIALLY DEFERRED)',
  );
});
afterAll(() => database.drop());
beforeEach(async () => {
  await database.query('TRUNCATE item');
  engine = createAsyncEngine(database.url, { poolSize: 3, maxOverflow: 0, poolTimeout: 2_000 });
});
afterEach(() => engine.aclose());

const insert = (id: number): Observable<number> =>
  defer(async () => {
    await engine.execute(text('INSERT INTO item VALUES (:id)'), { id });
    return id;
  });
async function* insertAll(ids: readonly number[]): AsyncGenerator<number> {
  for (const id of ids) yield await lastValueFrom(insert(id));
}
const storedIds = async (): Promise<number[]> =>
  (await database.query<{ id: number }>('SELECT id FROM item ORDER BY id')).map(({ id }) => id);
const boom = (): Observable<never> => throwError(() => new Error('boom'));
/** The sessions that still do something, once nothing is on loan any more. */
const busySessions = async (): Promise<readonly SessionRow[]> => {
  await eventually(() => {
    if (engine.pool.checkedOut() > 0) throw new Error('a connection is still on loan');
  }, 2_000);
  return (await database.sessions()).filter(({ state }) => state !== 'idle');
};

it('tells the events of its transaction that it was unsubscribed', async () => {
  const reasons: unknown[] = [];
  const undone = new Latch();
  engine.on('rollback', ({ reason }) => {
    reasons.push(reason);
    undone.open();
  });
  const written = new Latch();
  const subscription = concat(insert(1).pipe(tap(() => written.open())), NEVER)
    .pipe(inTransaction(engine))
    .subscribe();
  await written.opened;
  subscription.unsubscribe();
  await undone.opened;
  expect(reasons).toEqual([expect.any(UnsubscribedError)]);
});

describe('the end of the source', () => {
  it('commits before it completes', async () => {
    const atCompletion = new Latch<number[]>();
    concat(insert(1), insert(2))
      .pipe(inTransaction(engine))
      .subscribe({ complete: () => void storedIds().then(atCompletion.open) });
    expect(await atCompletion.opened).toEqual([1, 2]);
  });

  it('passes values on before they are committed', async () => {
    const stored = await lastValueFrom(
      concat(insert(1), NEVER).pipe(
        inTransaction(engine),
        take(1),
        concatMap(() => storedIds()),
      ),
    );
    expect(stored).toEqual([]);
  });

  it('rolls back before it fails', async () => {
    const atError = new Latch<number[]>();
    concat(insert(1), boom())
      .pipe(inTransaction(engine))
      .subscribe({ error: () => void storedIds().then(atError.open) });
    expect(await atError.opened).toEqual([]);
    expect(await busySessions()).toEqual([]);
  });

  it('fails with the error of the source', async () => {
    await expect(lastValueFrom(concat(insert(1), boom()).pipe(inTransaction(engine)))).rejects.toThrow(
      'boom',
    );
  });

  it('fails with a COMMIT that fails, and does not complete', async () => {
    const orphan = defer(() => engine.execute(text('INSERT INTO item VALUES (1, 99)')));
    const failure: unknown = await lastValueFrom(orphan.pipe(inTransaction(engine))).catch(
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(ForeignKeyViolationError);
    expect(await busySessions()).toEqual([]);
  });

  it('fails when a statement has failed and the error was swallowed', async () => {
    const swallowed = defer(() => engine.execute(text('SELECT nonsense')).then(String, () => 'swallowed'));
    await expect(lastValueFrom(swallowed.pipe(inTransaction(engine)))).rejects.toBeInstanceOf(
      UnexpectedRollbackError,
    );
  });

  it('commits what noRollbackFor lets pass, and still fails', async () => {
    const source = concat(insert(1), boom()).pipe(inTransaction(engine, { noRollbackFor: [Error] }));
    await expect(lastValueFrom(source)).rejects.toThrow('boom');
    expect(await storedIds()).toEqual([1]);
  });

  it('sends nothing for a source without statements', async () => {
    expect(await lastValueFrom(of(1, 2).pipe(inTransaction(engine), toArray()))).toEqual([1, 2]);
    expect(await database.sessions()).toEqual([]);
  });

  it('takes a source that throws while it is subscribed to', async () => {
    const source = defer((): Observable<never> => {
      throw new Error('boom');
    });
    await expect(lastValueFrom(source.pipe(inTransaction(engine)))).rejects.toThrow('boom');
  });
});

describe('a consumer that wants one value', () => {
  const inserted = (id: number) => text<{ id: number }>(`INSERT INTO item VALUES (${id}) RETURNING id`);

  it.each<[string, Observable<unknown>]>([
    ['a promise', insert(1)],
    ['an async generator', defer(() => from(insertAll([1])))],
    ['the row of a statement', defer(() => fromQuery(engine, inserted(1)))],
  ])('has it after the COMMIT where the source has no more: %s', async (_kind, source) => {
    const value = source.pipe(inTransaction(engine));
    await firstValueFrom(value.pipe(concatMap(() => storedIds()))).then((ids) => expect(ids).toEqual([1]));
    await database.query('TRUNCATE item');
    await lastValueFrom(value.pipe(take(1)));
    expect(await storedIds()).toEqual([1]);
  });

  it('gets the failure of the COMMIT instead of it', async () => {
    const orphan = defer(() => engine.execute(text('INSERT INTO item VALUES (1, 99)')));
    await expect(firstValueFrom(orphan.pipe(inTransaction(engine)))).rejects.toBeInstanceOf(
      ForeignKeyViolationError,
    );
  });

  it('is not given a value whose work is undone in the same turn', async () => {
    const seen: number[] = [];
    const source = from([1, 2]).pipe(
      tap((n) => {
        if (n === 2) throw new Error('boom');
      }),
    );
    await expect(
      lastValueFrom(
        concat(insert(1).pipe(ignoreElements()), source).pipe(
          inTransaction(engine),
          tap((n) => seen.push(n)),
        ),
      ),
    ).rejects.toThrow('boom');
    expect([seen, await storedIds()]).toEqual([[], []]);
  });

  it('is given it where the error keeps the work', async () => {
    const seen: number[] = [];
    const source = concat(insert(1), boom()).pipe(inTransaction(engine, { noRollbackFor: [Error] }));
    await expect(lastValueFrom(source.pipe(tap((n) => seen.push(n))))).rejects.toThrow('boom');
    expect([seen, await storedIds()]).toEqual([[1], [1]]);
  });

  it('that has gone during the COMMIT leaves its failure to the log', async () => {
    const log = new MemoryLogger();
    const logged = createAsyncEngine(database.url, { logger: log });
    const completing = new Subject<never>();
    const orphan = defer(() => logged.execute(text('INSERT INTO item VALUES (1, 99)')));
    const subscription = concat(orphan, completing).pipe(inTransaction(logged)).subscribe();
    await eventually(() => expect(completing.observed).toBe(true));
    completing.complete();
    subscription.unsubscribe();
    await eventually(() => expect(log.errors).toEqual([expect.stringContaining('foreign key')]));
    await logged.aclose();
  });
});

describe('unsubscribing', () => {
  it('rolls back', async () => {
    await lastValueFrom(concat(insert(1), NEVER).pipe(inTransaction(engine), take(1)));
    expect(await busySessions()).toEqual([]);
    expect(await storedIds()).toEqual([]);
  });

  it('warns once, with the label, where that undoes writes after a value was emitted', async () => {
    const log = new MemoryLogger();
    const logged = createAsyncEngine(database.url, { logger: log });
    const run = (sql: string, label: string): Promise<unknown> =>
      lastValueFrom(
        concat(
          defer(() => logged.execute(text(sql))),
          NEVER,
        ).pipe(inTransaction(logged, { label }), take(1)),
      );
    await run('SELECT 1', 'Reports.read');
    await run('INSERT INTO item VALUES (1)', 'Orders.place');
    await run('INSERT INTO item VALUES (1)', 'Orders.place');
    expect(log.warnings).toEqual([expect.stringMatching(/^Orders\.place: .*rolled back/)]);
    await logged.aclose();
  });

  it('cancels the statement under way', async () => {
    const asleep = defer(() => engine.execute(text('SELECT pg_sleep(600)')));
    const subscription = asleep.pipe(inTransaction(engine)).subscribe();
    await eventually(async () => {
      const sessions = await database.sessions();
      expect(
        sessions.filter(({ state, query }) => state === 'active' && query.includes('pg_sleep')),
      ).toHaveLength(1);
    });
    subscription.unsubscribe();
    expect(await busySessions()).toEqual([]);
  });

  it('closes a cursor that is being read', async () => {
    const rows = defer(() => fromQuery(engine, text('SELECT pg_sleep(600)::text')));
    const subscription = concat(insert(1), rows).pipe(inTransaction(engine)).subscribe();
    await eventually(async () => {
      const sessions = await database.sessions();
      expect(sessions.filter(({ query }) => query.includes('pg_sleep'))).toHaveLength(1);
    });
    subscription.unsubscribe();
    expect(await busySessions()).toEqual([]);
    expect(await storedIds()).toEqual([]);
  });

  it('works with an empty async context', async () => {
    const first = new Latch();
    const nowhere = AsyncLocalStorage.snapshot();
    const subscription = await engine.scope(async () => {
      const running = concat(insert(1), NEVER)
        .pipe(inTransaction(engine))
        .subscribe(() => first.open());
      await first.opened;
      return running;
    });
    nowhere(() => subscription.unsubscribe());
    expect(await busySessions()).toEqual([]);
    expect(await storedIds()).toEqual([]);
  });

  it('stops a source that emits while it is subscribed to', async () => {
    const seen: number[] = [];
    const endless = from(
      (function* () {
        for (let n = 1; ; n += 1) yield n;
      })(),
    );
    await lastValueFrom(
      endless.pipe(
        inTransaction(engine),
        tap((n) => seen.push(n)),
        take(3),
      ),
    );
    expect(seen).toEqual([1, 2, 3]);
  });

  it('does not call back a COMMIT that is on its way', async () => {
    const completing = new Subject<never>();
    const subscription = concat(insert(1), completing).pipe(inTransaction(engine)).subscribe();
    await eventually(() => expect(completing.observed).toBe(true));
    completing.complete();
    subscription.unsubscribe();
    expect(await busySessions()).toEqual([]);
    expect(await storedIds()).toEqual([1]);
  });
});

describe('the context', () => {
  it('gives every subscription a transaction of its own', async () => {
    const ids: string[] = [];
    const source = defer(() => engine.scalar<string>(text('SELECT txid_current()::text'))).pipe(
      tap((id) => ids.push(id ?? '')),
      inTransaction(engine),
    );
    await Promise.all([lastValueFrom(source), lastValueFrom(source)]);
    expect(new Set(ids).size).toBe(2);
  });

  it('covers every operator upstream', async () => {
    const source = of(1, 2, 3).pipe(
      concatMap((id) => insert(id)),
      concatMap((id) => insert(id + 10)),
      concatMap((id) => (id === 13 ? boom() : of(id))),
      inTransaction(engine),
    );
    await expect(lastValueFrom(source)).rejects.toThrow('boom');
    expect(await storedIds()).toEqual([]);
  });

  it('does not cover operators downstream', async () => {
    const gate = new Subject<never>();
    const inside = concat(insert(1), gate).pipe(
      inTransaction(engine),
      concatMap((id) => insert(id + 10)),
    );
    const outcome = lastValueFrom(inside.pipe(tap(() => gate.error(new Error('boom'))))).catch(String);
    expect(await outcome).toBe('Error: boom');
    expect(await storedIds()).toEqual([11]);
  });

  it('lets what follows it run after the transaction has ended', async () => {
    await lastValueFrom(concat(insert(1).pipe(inTransaction(engine)), insert(2)));
    expect(await storedIds()).toEqual([1, 2]);
  });

  it('is a savepoint inside a transaction', async () => {
    await engine.transaction(async () => {
      const failing = concat(insert(1), boom()).pipe(inTransaction(engine));
      await expect(lastValueFrom(failing)).rejects.toThrow('boom');
      await lastValueFrom(insert(2));
    });
    expect(await storedIds()).toEqual([2]);
  });

  it('hands the propagation on', async () => {
    const source = insert(1).pipe(inTransaction(engine, { propagation: 'mandatory' }));
    await expect(lastValueFrom(source)).rejects.toBeInstanceOf(PropagationError);
  });

  it('streams what it inserts', async () => {
    const source = defer(() =>
      fromQuery(
        engine,
        text<{ id: number }>('INSERT INTO item SELECT generate_series(1, 500) RETURNING id'),
        undefined,
        { batchSize: 50 },
      ),
    );
    const rows = await lastValueFrom(source.pipe(inTransaction(engine), toArray()));
    expect([rows.length, (await storedIds()).length]).toEqual([500, 500]);
  });
});

describe('retry', () => {
  const conflict = (): Observable<never> =>
    defer(async () => {
      await engine.execute(text(`DO $$ BEGIN RAISE EXCEPTION 'conflict' USING ERRCODE = '40001'; END $$`));
      throw new Error('unreachable');
    });
  /** A source that meets a conflict in its first `times` subscriptions. */
  const conflicting = (times: number): { source: Observable<number>; subscriptions: () => number } => {
    let count = 0;
    const source = defer(() => {
      count += 1;
      return count <= times ? concat(insert(1).pipe(concatMap(() => EMPTY)), conflict()) : insert(1);
    });
    return { source, subscriptions: () => count };
  };

  it('subscribes again after a serialization failure', async () => {
    const { source, subscriptions } = conflicting(2);
    const id = await lastValueFrom(
      source.pipe(inTransaction(engine, { retry: { retries: 3, baseDelay: 1 } })),
    );
    expect([id, subscriptions(), await storedIds()]).toEqual([1, 3, [1]]);
    expect(await busySessions()).toEqual([]);
  });

  it('gives the last error when the retries are used up', async () => {
    const { source, subscriptions } = conflicting(9);
    const attempt = lastValueFrom(
      source.pipe(inTransaction(engine, { retry: { retries: 1, baseDelay: 1 } })),
    );
    await expect(attempt).rejects.toBeInstanceOf(SerializationFailureError);
    expect(subscriptions()).toBe(2);
  });

  it('never subscribes again once a value was emitted', async () => {
    let subscriptions = 0;
    const source = defer(() => {
      subscriptions += 1;
      return concat(insert(1), conflict());
    });
    const attempt = lastValueFrom(source.pipe(inTransaction(engine, { retry: 5 })));
    await expect(attempt).rejects.toBeInstanceOf(SerializationFailureError);
    expect(subscriptions).toBe(1);
  });

  it('does not repeat other errors', async () => {
    let subscriptions = 0;
    const source = defer(() => {
      subscriptions += 1;
      return boom();
    });
    await expect(lastValueFrom(source.pipe(inTransaction(engine, { retry: 5 })))).rejects.toThrow('boom');
    expect(subscriptions).toBe(1);
  });

  it('leaves the repetition of a nested one to the root', async () => {
    const { source, subscriptions } = conflicting(9);
    const nested = (): Promise<number> => lastValueFrom(source.pipe(inTransaction(engine, { retry: 5 })));
    await expect(engine.transaction(nested)).rejects.toBeInstanceOf(SerializationFailureError);
    expect(subscriptions()).toBe(1);
  });

  it('stops waiting when it is unsubscribed', async () => {
    const { source, subscriptions } = conflicting(9);
    const waiting = new Latch();
    const retry = { retries: 5, baseDelay: 60_000, maxDelay: 60_000, onRetry: () => waiting.open() };
    const subscription = source.pipe(inTransaction(engine, { retry })).subscribe();
    await waiting.opened;
    subscription.unsubscribe();
    expect(subscriptions()).toBe(1);
    expect(await busySessions()).toEqual([]);
  });

  it('refuses a number of retries that is none', () => {
    expect(() => inTransaction(engine, { retry: -1 })).toThrow(ArgumentError);
  });
});

describe('a transaction whose time has passed', () => {
  it.each<[string, () => Observable<number>]>([
    ['has given no value', () => insert(1).pipe(concatMap(() => NEVER))],
    ['has given values', () => concat(insert(1), insert(2), NEVER)],
    ['is a transaction inside it', () => concat(insert(1), NEVER).pipe(inTransaction(engine))],
    ['joins it', () => concat(insert(1), NEVER).pipe(inTransaction(engine, { propagation: 'required' }))],
    ['has sent nothing', () => NEVER],
  ])('is the error of its Observable, which waits for something else and %s', async (_, source) => {
    const timed = defer(source).pipe(inTransaction(engine, { timeout: 100 }));
    await expect(lastValueFrom(timed)).rejects.toBeInstanceOf(TransactionTimeoutError);
    expect(await busySessions()).toEqual([]);
    expect(await storedIds()).toEqual([]);
  });

  it('is never subscribed to where it has no time at all', async () => {
    let subscriptions = 0;
    const source = defer(() => {
      subscriptions += 1;
      return NEVER;
    });
    const timed = source.pipe(inTransaction(engine, { timeout: 0 }));
    await expect(lastValueFrom(timed)).rejects.toBeInstanceOf(TransactionTimeoutError);
    expect(subscriptions).toBe(0);
  });
});
