import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import type { TestingModule } from '@nestjs/testing';
import { Observable, concat, concatMap, defer, from, ignoreElements, lastValueFrom, of, toArray } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  AsyncEngine,
  DatabaseModule,
  SerializationFailureError,
  Transactional,
  TransactionEndedError,
  UnexpectedRollbackError,
  sql,
} from 'nest-async-engine';
import type { TransactionalMethodOptions } from 'nest-async-engine';
import { Latch, eventually } from '../../support/process/barrier.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';
import { failureOf } from '../../support/items.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;
const COUNT = sql`SELECT count(*) FROM items`;
const SERIALIZABLE = { isolationLevel: 'SERIALIZABLE' } as const;
const RETRIED: TransactionalMethodOptions = { ...SERIALIZABLE, retry: { retries: 3, baseDelay: 1 } };

@Injectable()
class Items {
  over = new Latch();
  attempts = 0;
  readonly hooks: string[] = [];

  constructor(private readonly engine: AsyncEngine) {}

  @Transactional()
  async swallowTwo(): Promise<string> {
    await this.engine.execute(insert('swallowed'));
    await this.engine.execute(sql`SELECT 1 / 0`).catch(() => undefined);
    await this.engine.execute(insert('refused by the server')).catch(() => undefined);
    return 'done';
  }

  /** Meets another transaction that has read the same and commits first; of the two this is the one that is refused. */
  async #conflictOnce(name: string): Promise<void> {
    this.attempts += 1;
    this.engine.afterCommit(() => void this.hooks.push(name));
    await this.engine.scalar(COUNT);
    if (this.attempts === 1) {
      await this.engine.begin(async (rival) => {
        await rival.scalar(COUNT);
        await rival.execute(insert('rival'));
      }, SERIALIZABLE);
    }
    await this.engine.execute(insert(name));
  }

  @Transactional(RETRIED)
  silent(name: string): Observable<string> {
    return this.silentSource(name);
  }

  silentSource(name: string): Observable<string> {
    return concat(defer(() => this.#conflictOnce(name)).pipe(ignoreElements()), of('stored'));
  }

  @Transactional(RETRIED)
  talkative(name: string): Observable<string> {
    return concat(of('a first value'), defer(() => this.#conflictOnce(name)).pipe(ignoreElements()));
  }

  // Nothing tells what these return before they are called.
  @Transactional(RETRIED)
  undeclared(name: string) {
    return this.silentSource(name) as unknown as Promise<string>;
  }

  @Transactional(RETRIED)
  async *each(name: string): AsyncGenerator<string> {
    await this.engine.execute(insert(name));
    yield name;
  }

  @Transactional(RETRIED)
  async promised(name: string): Promise<string> {
    await this.#conflictOnce(name);
    return name;
  }

  @Transactional()
  async add(name: string): Promise<void> {
    await this.engine.execute(insert(name));
  }

  /** Returns while its work goes on. */
  @Transactional()
  async leave(work: (over: Promise<void>) => Promise<unknown>): Promise<{ late: Promise<unknown> }> {
    await this.engine.execute(insert('in time'));
    return { late: failureOf(work(this.over.opened)) };
  }

  late(): Observable<unknown> {
    return from(this.over.opened).pipe(concatMap(() => this.engine.execute(insert('late'))));
  }
}

let database: TestDatabase;
let testing: TestingModule;
let items: Items;
let engine: AsyncEngine;

const start = (): Promise<TestingModule> =>
  Test.createTestingModule({
    imports: [DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0 })],
    providers: [Items],
  }).compile();

beforeAll(async () => {
  database = await createDatabase('failures');
  await database.query('CREATE TABLE items (name text)');
});
beforeEach(async () => {
  await database.query('TRUNCATE items');
  testing = await start();
  items = testing.get(Items);
  engine = testing.get(AsyncEngine);
});
afterEach(async () => {
  await expectIdle(engine, database);
  await testing.close();
});
afterAll(() => database.drop());

describe('@Transactional whose statement errors are swallowed', () => {
  it('fails with the first of them as the cause, and stores nothing', async () => {
    const failure = await failureOf(items.swallowTwo());
    expect(failure).toBeInstanceOf(UnexpectedRollbackError);
    expect((failure as Error).cause).toMatchObject({ sqlState: '22012' });
    expect(await storedNames(database)).toEqual([]);
  });
});

describe('@Transactional with retry', () => {
  it('tells of each retry once', async () => {
    const told: number[] = [];
    engine.on('retry', ({ attempt }) => void told.push(attempt));
    expect(await items.promised('own')).toBe('own');
    expect([items.attempts, told]).toEqual([2, [1]]);
  });

  it('streams a generator, which cannot be run again', async () => {
    const seen: string[] = [];
    for await (const name of items.each('own')) seen.push(name);
    expect(seen).toEqual(['own']);
    expect(await storedNames(database)).toEqual(['own']);
  });

  it('refuses a wrong number where the method is decorated', () => {
    expect(() => Transactional({ retry: -1 })).toThrow(ArgumentError);
  });
});

describe('@Transactional with retry on an Observable', () => {
  it('whose type is not declared subscribes again, too', async () => {
    const stored = items.undeclared('own') as unknown as Observable<string>;
    expect([await lastValueFrom(stored), items.attempts]).toEqual(['stored', 2]);
    expect(await storedNames(database)).toEqual(['own', 'rival']);
  });

  it('subscribes again after a real 40001, and runs its hooks once', async () => {
    const seen = await lastValueFrom(items.silent('own').pipe(toArray()));
    expect([seen, items.attempts, items.hooks]).toEqual([['stored'], 2, ['own']]);
    expect(await storedNames(database)).toEqual(['own', 'rival']);
  });

  it('never subscribes again once a value was emitted', async () => {
    const seen: string[] = [];
    const failure = await failureOf(
      new Promise<void>((resolve, reject) => {
        items.talkative('own').subscribe({
          next: (value) => seen.push(value),
          error: reject,
          complete: resolve,
        });
      }),
    );
    expect(failure).toBeInstanceOf(SerializationFailureError);
    expect([seen, items.attempts, items.hooks]).toEqual([['a first value'], 1, []]);
    expect(await storedNames(database)).toEqual(['rival']);
  });
});

describe('work that outlives its @Transactional method', () => {
  it.each<[string, () => (over: Promise<void>) => Promise<unknown>]>([
    ['a promise that nobody awaited', () => (over) => over.then(() => engine.execute(insert('late')))],
    [
      'a timer',
      () => (over) =>
        new Promise((resolve, reject) => {
          setTimeout(() => void over.then(() => engine.execute(insert('late'))).then(resolve, reject), 1);
        }),
    ],
    ['a subscription', () => () => lastValueFrom(items.late())],
    ['another @Transactional method', () => (over) => over.then(() => items.add('late'))],
  ])('is refused and told where it began: %s', async (_name, work) => {
    const { late } = await items.leave(work());
    items.over.open();
    const failure = await late;
    expect(failure).toBeInstanceOf(TransactionEndedError);
    expect(String(failure)).toContain('Items.leave');
    expect(await storedNames(database)).toEqual(['in time']);
  });
});

describe('a second application in one file', () => {
  it('starts cleanly after the first was closed, with the same classes', async () => {
    await items.add('first');
    await testing.close();
    await eventually(async () => expect(await database.sessions()).toEqual([]));
    testing = await start();
    expect(testing.get(AsyncEngine)).not.toBe(engine);
    engine = testing.get(AsyncEngine);
    await testing.get(Items).add('second');
    expect(await storedNames(database)).toEqual(['first', 'second']);
  });

  it('does not take the place of one that is still open, whose objects keep their engine', async () => {
    const second = await start();
    await second.get(Items).add('second');
    await second.close();
    await items.add('first');
    expect(await storedNames(database)).toEqual(['first', 'second']);
  });
});
