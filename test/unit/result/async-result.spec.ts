import { once } from 'node:events';
import { from, lastValueFrom, take, toArray } from 'rxjs';
import { describe, expect, it, vi } from 'vitest';
import type { Batch, DriverRow, Portal, RowShape } from '../../../lib/engine/driver/driver.js';
import {
  ArgumentError,
  MultipleResultsFoundError,
  NoResultFoundError,
  ResourceClosedError,
} from '../../../lib/engine/errors/errors.js';
import { AsyncResult } from '../../../lib/engine/result/async-result.js';
import type { StreamOptions, StreamSource } from '../../../lib/engine/result/stream-source.js';
import { Latch } from '../../support/process/barrier.js';

type User = { id: number; name: string };

const USER_SHAPE: RowShape = {
  fields: [
    { name: 'id', typeOid: 23 },
    { name: 'name', typeOid: 25 },
  ],
  keyed: true,
};
const users = (count: number): User[] =>
  Array.from({ length: count }, (_, index) => ({ id: index + 1, name: `name${index + 1}` }));

/** A cursor in memory. `log` has what it was asked in order; fetches whose number is held wait for their latch. */
class MemorySource implements StreamSource {
  readonly log: string[] = [];
  readonly held = new Map<number, Latch>();
  readonly failures = new Map<number, Error>();
  readonly asked = new Map<number, Latch>([
    [1, new Latch()],
    [2, new Latch()],
    [3, new Latch()],
  ]);
  openFailure: Error | undefined;
  releaseFailure: Error | undefined;
  opening: Latch | undefined;
  releasedWith: unknown;
  readonly #rows: DriverRow[];
  readonly #shape: RowShape | null;
  #fetches = 0;
  #inFlight: Promise<void> | undefined;

  constructor(rows: readonly DriverRow[], shape: RowShape | null = USER_SHAPE) {
    this.#rows = [...rows];
    this.#shape = shape;
  }

  async open(): Promise<Portal> {
    this.log.push('open');
    await this.opening?.opened;
    if (this.openFailure) throw this.openFailure;
    const portal = {
      shape: undefined,
      fetch: (count: number) => this.#fetch(count),
      close: () => this.#close(),
    };
    return Object.defineProperty(portal, 'shape', {
      get: () => (this.#fetches > 0 ? (this.#shape ?? undefined) : undefined),
    });
  }

  async release(failure?: unknown): Promise<void> {
    this.log.push('release');
    this.releasedWith = failure;
    await Promise.resolve();
    if (this.releaseFailure) throw this.releaseFailure;
  }

  async #fetch(count: number): Promise<Batch> {
    this.log.push(`fetch ${count}`);
    const number = ++this.#fetches;
    this.asked.get(number)?.open();
    await (this.#inFlight = this.held.get(number)?.opened);
    const failure = this.failures.get(number);
    if (failure) throw failure;
    const rows = this.#rows.splice(0, count);
    return { rows, done: rows.length < count };
  }

  async #close(): Promise<void> {
    this.log.push('close');
    await this.#inFlight;
  }
}

function stream(source: MemorySource, options?: StreamOptions): AsyncResult<User> {
  return new AsyncResult<User>(source, options);
}
const streamOf = (count: number, options?: StreamOptions): AsyncResult<User> =>
  stream(new MemorySource(users(count)), options);
const ids = (rows: readonly User[]): number[] => rows.map((row) => row.id);

describe('AsyncResult: laziness and batches', () => {
  it('sends nothing before it is asked, and nothing when it is closed first', async () => {
    const source = new MemorySource(users(3));
    const result = stream(source);
    result.scalars().unique();
    result.readable().destroy();
    await result.close();
    expect(source.log).toEqual([]);
    await expect(result.all()).rejects.toBeInstanceOf(ResourceClosedError);
  });

  it('closes the portal and releases as soon as the server is through, before the rows are read', async () => {
    const source = new MemorySource(users(3));
    const result = await stream(source).open();
    await result.fetchOne();
    await Promise.resolve();
    expect(source.log).toEqual(['open', 'fetch 1000', 'close', 'release']);
    expect(ids(await result.all())).toEqual([2, 3]);
  });

  it('fetches the next batch while one is read, and never more than one ahead', async () => {
    const source = new MemorySource(users(10));
    const result = stream(source, { yieldPer: 2 });
    await result.fetchOne();
    await source.asked.get(2)?.opened;
    await new Promise((resolve) => setImmediate(resolve));
    expect(source.log).toEqual(['open', 'fetch 2', 'fetch 2']);
  });

  it('maxRowBuffer bounds a fetch', async () => {
    const source = new MemorySource(users(3));
    await stream(source, { maxRowBuffer: 10 }).all();
    expect(source.log[1]).toBe('fetch 10');
  });

  it.each([{ yieldPer: 0 }, { maxRowBuffer: 0 }])('refuses %o', (options) => {
    expect(() => streamOf(1, options)).toThrow(ArgumentError);
  });

  it('gives every row once to readers that ask at the same time', async () => {
    const result = streamOf(5, { yieldPer: 2 });
    const rows = await Promise.all(Array.from({ length: 6 }, () => result.fetchOne()));
    expect(rows.map((row) => row?.id)).toEqual([1, 2, 3, 4, 5, undefined]);
  });
});

describe('AsyncResult: questions', () => {
  it('AE-75 to AE-81: answers in every form', async () => {
    expect(ids(await streamOf(19, { yieldPer: 5 }).all())).toEqual(ids(users(19)));
    expect(await streamOf(2).scalars(1).all()).toEqual(['name1', 'name2']);
    expect(await streamOf(2).mappings().all()).toEqual(users(2));
    expect(await streamOf(1).tuples().all()).toEqual([[1, 'name1']]);
    const names: string[] = [];
    for await (const name of streamOf(3, { yieldPer: 2 }).scalars('name')) names.push(name);
    expect(names).toEqual(['name1', 'name2', 'name3']);
  });

  it('AE-83: keys() opens the stream and still answers when it is closed', async () => {
    const result = streamOf(2).mappings();
    expect(await result.keys()).toEqual(['id', 'name']);
    await result.close();
    expect(await result.keys()).toEqual(['id', 'name']);
  });

  it.each([
    [2, [2, 2, 2, 1]],
    [5, [5, 2]],
  ])('AE-87, X-05: yieldPer %i is the size of partitions()', async (yieldPer, sizes) => {
    const seen: number[] = [];
    for await (const list of streamOf(7).yieldPer(yieldPer).partitions()) seen.push(list.length);
    expect(seen).toEqual(sizes);
    expect(await streamOf(7, { yieldPer }).fetchMany()).toHaveLength(yieldPer);
  });

  it('AE-101: fetchMany() takes what was asked and fetchAll() the rest', async () => {
    const result = streamOf(361, { yieldPer: 7 });
    const sizes = [await result.fetchMany(5), await result.fetchMany(10), await result.fetchMany(7)];
    expect(sizes.map((list) => list.length)).toEqual([5, 10, 7]);
    expect(await result.fetchAll()).toHaveLength(339);
    expect([await result.all(), result.closed]).toEqual([[], false]);
  });

  it.each([
    ['first', { id: 1, name: 'name1' }],
    ['one', { id: 1, name: 'name1' }],
    ['oneOrNone', { id: 1, name: 'name1' }],
    ['scalar', 1],
    ['scalarOne', 1],
    ['scalarOneOrNone', 1],
  ] as const)('AE-94, AE-105: %s() answers, closes and releases', async (question, expected) => {
    const source = new MemorySource(users(1));
    const result = stream(source);
    expect(await result[question]()).toEqual(expected);
    expect(result.closed).toBe(true);
    expect(source.log.slice(-2)).toEqual(['close', 'release']);
    await expect(result.fetchOne()).rejects.toBeInstanceOf(ResourceClosedError);
  });

  it('first() asks the server for one row', async () => {
    const source = new MemorySource(users(5000));
    expect(await stream(source).first()).toEqual(users(1)[0]);
    expect(source.log).toEqual(['open', 'fetch 1', 'close', 'release']);
  });

  it('AE-97: refuses too few and too many rows', async () => {
    await expect(streamOf(0).one()).rejects.toBeInstanceOf(NoResultFoundError);
    await expect(streamOf(0).scalars().one()).rejects.toBeInstanceOf(NoResultFoundError);
    await expect(streamOf(2).one()).rejects.toBeInstanceOf(MultipleResultsFoundError);
    await expect(streamOf(2).scalarOneOrNone()).rejects.toBeInstanceOf(MultipleResultsFoundError);
    expect(await streamOf(0).first()).toBeUndefined();
  });

  it('AE-84, X-03: carries unique() and columns() over into views', async () => {
    const twice = (): AsyncResult<User> =>
      stream(new MemorySource([...users(3), ...users(3)]), { yieldPer: 2 });
    expect(await twice().unique().all()).toEqual(users(3));
    expect(await twice().unique().scalars('name').all()).toEqual(['name1', 'name2', 'name3']);
    expect(
      await twice()
        .unique((row) => row.id % 2)
        .scalars()
        .all(),
    ).toEqual([1, 2]);
    expect(await twice().columns('name').mappings().first()).toEqual({ name: 'name1' });
    expect(await streamOf(1).columns(1).all()).toEqual([{ name: 'name1' }]);
  });

  it('X-04: freeze() gives the rows as often as they are asked for', async () => {
    const frozen = await streamOf(3, { yieldPer: 2 }).columns('id').freeze();
    expect([frozen().scalars().all(), frozen().all().length]).toEqual([[1, 2, 3], 3]);
  });

  it('refuses rows of a statement that returns none', async () => {
    const result = stream(new MemorySource([], null));
    await result.open();
    await expect(result.all()).rejects.toThrow(/returns no rows/);
  });

  it('an unknown column is refused by the first question and closes the cursor', async () => {
    const source = new MemorySource(users(5));
    await expect(stream(source, { yieldPer: 2 }).columns('nope').all()).rejects.toBeInstanceOf(ArgumentError);
    expect(source.log.slice(-2)).toEqual(['close', 'release']);
  });
});

describe('AsyncResult: failures', () => {
  it('shows a failure of the batch ahead after the rows before it, and releases with it', async () => {
    const source = new MemorySource(users(4));
    source.failures.set(2, new Error('cut'));
    const result = stream(source, { yieldPer: 2 });
    const seen: number[] = [];
    const reading = (async () => {
      for await (const row of result) seen.push(row.id);
    })();
    await expect(reading).rejects.toThrow('cut');
    expect(seen).toEqual([1, 2]);
    expect(source.releasedWith).toEqual(new Error('cut'));
    expect(source.log.filter((entry) => entry === 'release')).toHaveLength(1);
    await expect(result.all()).rejects.toMatchObject({ code: 'RESOURCE_CLOSED', cause: new Error('cut') });
  });

  it('keeps the failure of an open() for the asker and releases nothing', async () => {
    const source = new MemorySource([]);
    source.openFailure = new Error('no connection');
    const result = stream(source);
    await expect(result.open()).rejects.toThrow('no connection');
    expect(source.log).toEqual(['open']);
    expect(result.closed).toBe(true);
  });

  it('shows a failed release at the end of the rows', async () => {
    const source = new MemorySource(users(2));
    source.releaseFailure = new Error('commit failed');
    const result = stream(source);
    expect((await result.fetchOne())?.id).toBe(1);
    expect((await result.fetchOne())?.id).toBe(2);
    await expect(result.fetchOne()).rejects.toThrow('commit failed');
  });

  it('does not let a failed release replace the first failure', async () => {
    const source = new MemorySource(users(2));
    source.failures.set(1, new Error('first'));
    source.releaseFailure = new Error('second');
    const result = stream(source);
    await expect(result.all()).rejects.toThrow('first');
    await expect(result.close()).resolves.toBeUndefined();
  });
});

describe('AsyncResult: early end', () => {
  it('a break closes the cursor', async () => {
    const source = new MemorySource(users(10));
    const result = stream(source, { yieldPer: 2 });
    for await (const row of result) if (row.id === 3) break;
    expect(result.closed).toBe(true);
    expect(source.log.slice(-2)).toEqual(['close', 'release']);
  });

  it('X-01: a throw in its block closes the cursor and stays the failure', async () => {
    const source = new MemorySource(users(10));
    const result = stream(source, { yieldPer: 2 });
    const block = async (): Promise<void> => {
      await using open = await result.open();
      await open.fetchOne();
      throw new Error('mine');
    };
    await expect(block()).rejects.toThrow('mine');
    expect([result.closed, source.log.at(-1)]).toEqual([true, 'release']);
  });

  it('return() closes the cursor while a fetch is pending, and ends the pending next()', async () => {
    const source = new MemorySource(users(10));
    const held = new Latch();
    source.held.set(1, held);
    const iterator = stream(source)[Symbol.asyncIterator]();
    const pending = iterator.next();
    await source.asked.get(1)?.opened;
    const returned = iterator.return?.();
    expect(await pending).toEqual({ done: true, value: undefined });
    expect(source.log).toEqual(['open', 'fetch 1000', 'close']);
    held.open();
    await returned;
    expect(source.log.at(-1)).toBe('release');
  });

  it('return() of partitions() does not wait for the pending fetch either', async () => {
    const source = new MemorySource(users(10));
    source.held.set(1, new Latch());
    const iterator = stream(source).partitions(2);
    const pending = iterator.next();
    await source.asked.get(1)?.opened;
    void iterator.return?.();
    expect(await pending).toEqual({ done: true, value: undefined });
  });

  it('close() refuses a question that is waiting, which is no end of the rows', async () => {
    const source = new MemorySource(users(10));
    const held = new Latch();
    source.held.set(1, held);
    const result = stream(source);
    const answer = result.all().catch((error: unknown) => error);
    await source.asked.get(1)?.opened;
    const closed = result.close();
    held.open();
    expect(await answer).toBeInstanceOf(ResourceClosedError);
    await closed;
  });

  it('closed while it is being opened, it fetches nothing and gives back what it got', async () => {
    const source = new MemorySource(users(10));
    source.opening = new Latch();
    const result = stream(source);
    const answer = result.all().catch((error: unknown) => error);
    const closed = result.close();
    source.opening.open();
    expect(await answer).toBeInstanceOf(ResourceClosedError);
    await closed;
    expect(source.log).toEqual(['open', 'close', 'release']);
  });

  it('does not release again when it is closed after the server was through', async () => {
    const source = new MemorySource(users(3));
    const result = stream(source);
    await result.fetchOne();
    await result.close();
    expect(source.log).toEqual(['open', 'fetch 1000', 'close', 'release']);
  });

  it('releases once, however often it is closed', async () => {
    const source = new MemorySource(users(10));
    const result = stream(source, { yieldPer: 2 });
    await result.fetchOne();
    await Promise.all([result.close(), result.close(), result.scalars().close()]);
    await result.close();
    expect(source.log.filter((entry) => entry === 'release')).toHaveLength(1);
  });
});

describe('AsyncResult: readable()', () => {
  it('gives all rows to a Node stream', async () => {
    const rows: User[] = [];
    for await (const row of streamOf(7, { yieldPer: 2 }).readable()) rows.push(row as User);
    expect(rows).toEqual(users(7));
  });

  it('reads no further than the consumer', async () => {
    const source = new MemorySource(users(100));
    const readable = stream(source, { yieldPer: 2 }).readable({ highWaterMark: 2 });
    await once(readable, 'readable');
    await new Promise((resolve) => setImmediate(resolve));
    expect(source.log.filter((entry) => entry.startsWith('fetch')).length).toBeLessThanOrEqual(3);
    readable.destroy();
    await once(readable, 'close');
    expect(source.log.at(-1)).toBe('release');
  });

  it('an aborted signal closes the cursor', async () => {
    const source = new MemorySource(users(100));
    const controller = new AbortController();
    const result = stream(source, { yieldPer: 2 });
    const readable = result.readable({ signal: controller.signal });
    await once(readable, 'readable');
    const failed = once(readable, 'error');
    controller.abort();
    expect((await failed)[0]).toMatchObject({ name: 'AbortError' });
    expect(result.closed).toBe(true);
  });

  it('without objectMode carries text', async () => {
    const readable = streamOf(3).scalars('name').readable({ objectMode: false });
    expect((await readable.toArray()).join('')).toBe('name1name2name3');
  });
});

describe('AsyncResult: Observables', () => {
  it('is taken by from() of RxJS', async () => {
    const result = streamOf(5, { yieldPer: 2 });
    expect(ids(await lastValueFrom(from(result).pipe(toArray())))).toEqual([1, 2, 3, 4, 5]);
    expect(result.closed).toBe(false);
  });

  it('take(1) of RxJS closes the cursor', async () => {
    const source = new MemorySource(users(5));
    const result = stream(source, { yieldPer: 2 });
    expect((await lastValueFrom(from(result).pipe(take(1)))).id).toBe(1);
    expect(result.closed).toBe(true);
  });

  it('an unsubscribe inside next stops the delivery of the batch at hand', async () => {
    const result = streamOf(5);
    const seen: number[] = [];
    const stopped = new Latch();
    const subscription = result['@@observable']().subscribe((row) => {
      seen.push(row.id);
      if (row.id === 2) {
        subscription.unsubscribe();
        stopped.open();
      }
    });
    await stopped.opened;
    expect([seen, subscription.closed, result.closed]).toEqual([[1, 2], true, true]);
  });

  it('an unsubscribe closes the cursor while a fetch is pending', async () => {
    const source = new MemorySource(users(5));
    source.held.set(1, new Latch());
    const subscription = from(stream(source)).subscribe();
    await source.asked.get(1)?.opened;
    subscription.unsubscribe();
    await Promise.resolve();
    expect(source.log).toEqual(['open', 'fetch 1000', 'close']);
  });

  it('delivers a failure after the rows before it', async () => {
    const source = new MemorySource(users(4));
    source.failures.set(2, new Error('cut'));
    const events: unknown[] = [];
    const ended = new Latch();
    stream(source, { yieldPer: 2 })
      ['@@observable']()
      .subscribe({
        next: (row) => events.push(row.id),
        error: (error) => ended.open(void events.push((error as Error).message)),
      });
    await ended.opened;
    expect(events).toEqual([1, 2, 'cut']);
  });

  it('starts nothing without a subscription and completes one', async () => {
    const source = new MemorySource(users(1));
    const observable = stream(source)['@@observable']();
    expect([observable['@@observable'](), source.log]).toEqual([observable, []]);
    const completed = new Latch();
    const subscription = observable.subscribe(null, null, completed.open);
    await completed.opened;
    expect([subscription.closed, source.log.at(-1)]).toEqual([true, 'release']);
  });

  it('answers to Symbol.observable where a library has defined it', async () => {
    const symbol = Symbol('observable');
    Object.defineProperty(Symbol, 'observable', { value: symbol, configurable: true });
    try {
      vi.resetModules();
      const fresh = await import('../../../lib/engine/result/async-result.js');
      const result = new fresh.AsyncResult<User>(new MemorySource(users(1)));
      const observe: unknown = Reflect.get(result, symbol);
      expect(observe).toBeTypeOf('function');
      expect(Reflect.apply(observe as () => unknown, result, [])).toHaveProperty('subscribe');
    } finally {
      Reflect.deleteProperty(Symbol, 'observable');
    }
  });
});
