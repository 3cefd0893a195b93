import 'reflect-metadata';
import { Controller, Get, Injectable, Post, SetMetadata, Sse } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import type { TestingModule } from '@nestjs/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { NEVER, Observable, concat, concatMap, defer, from, lastValueFrom, of, toArray } from 'rxjs';
import {
  AsyncEngine,
  DatabaseModule,
  IllegalStateError,
  NoActiveScopeError,
  NonTransactional,
  PropagationError,
  Transactional,
  TransactionTimeoutError,
  UnexpectedRollbackError,
  sql,
} from 'nest-async-engine';
import { eventually, Latch } from '../../support/process/barrier.js';
import { promisesOf } from '../../support/process/promises.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';
import { storedNames } from '../../support/process/outcome.js';

class Refused extends Error {}

/** Begins its work when it is awaited, and fails after it. */
class LatePromise extends Promise<void> {
  #work: () => Promise<unknown> = () => Promise.resolve();

  static of(work: () => Promise<unknown>): LatePromise {
    const promise = new LatePromise(() => undefined);
    promise.#work = work;
    return promise;
  }

  override then<A, B>(
    _resolved?: ((value: void) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    const failing = this.#work().then(() => Promise.reject(new Refused('late')));
    return failing.then(undefined, rejected) as Promise<A | B>;
  }
}

@Injectable()
class Items {
  readonly #secret = 'private fields work';
  statement: Promise<unknown> = Promise.resolve();

  constructor(readonly engine: AsyncEngine) {}

  @Transactional()
  async add(...names: string[]): Promise<number> {
    for (const name of names) await this.engine.execute(sql`INSERT INTO items VALUES (${name})`);
    if (names.includes('bad')) throw new Refused('bad');
    return names.length;
  }

  @Transactional()
  async addBoth(first: string, second: string): Promise<string> {
    await this.add(first).catch(() => undefined);
    await this.add(second);
    return this.#secret;
  }

  @Transactional()
  async swallow(): Promise<string> {
    await this.engine.execute(sql`INSERT INTO items VALUES ('swallowed')`);
    await this.engine.execute(sql`SELECT 1 / 0`).catch(() => undefined);
    return 'done';
  }

  @Transactional({ noRollbackFor: [Refused] })
  async addAnyway(name: string): Promise<void> {
    await this.engine.execute(sql`INSERT INTO items VALUES (${name})`);
    throw new Refused(name);
  }

  @Transactional()
  stream(...names: string[]): Observable<string> {
    return from(names).pipe(concatMap(async (name) => (await this.add(name), name)));
  }

  // The return type is not written down on purpose: the decorator has to find out by calling.
  @Transactional()
  undeclared(name: string) {
    return defer(() => this.engine.execute(sql`INSERT INTO items VALUES (${name})`)) as Observable<unknown>;
  }

  @Transactional()
  eager(name: string) {
    this.statement = this.engine.execute(sql`INSERT INTO items VALUES (${name})`);
    return of(name);
  }

  @Transactional()
  async *each(...names: string[]): AsyncGenerator<string> {
    for (const name of names) {
      await this.engine.execute(sql`INSERT INTO items VALUES (${name})`);
      if (name === 'bad') throw new Refused(name);
      yield name;
    }
  }

  @Transactional({ timeout: 100 })
  async *eachInTime(goOn: Promise<void>, ended: () => void): AsyncGenerator<string> {
    try {
      await this.engine.execute(sql`INSERT INTO items VALUES ('undone')`);
      yield 'undone';
      await goOn;
      yield 'late';
    } finally {
      ended();
    }
  }

  @Transactional({ timeout: 100 })
  streamInTime(): Observable<number> {
    return concat(
      defer(() => this.add('undone')),
      NEVER,
    );
  }

  @Transactional({ propagation: 'mandatory' })
  async *eachInside(): AsyncGenerator<string> {
    await this.engine.execute(sql`INSERT INTO items VALUES ('outside')`);
    yield 'outside';
  }

  // No `async function*`: what comes back is known no earlier than the call.
  @Transactional()
  delegated(...names: string[]): AsyncGenerator<string> {
    return this.each(...names);
  }

  @Transactional()
  async nothing(): Promise<void> {}

  @Transactional()
  addLate(name: string): Promise<void> {
    return LatePromise.of(() => this.add(name));
  }

  @Transactional()
  throwsBeforeItsPromise(): Promise<void> {
    throw new Refused('synchronously');
  }
}

@Transactional()
@Injectable()
class Everything {
  constructor(readonly engine: AsyncEngine) {}

  async inside(): Promise<boolean> {
    return Promise.resolve(this.engine.tryCurrentConnection() !== undefined);
  }

  @NonTransactional()
  async outside(): Promise<boolean> {
    return Promise.resolve(this.engine.tryCurrentConnection() !== undefined);
  }

  plain(): number {
    return 42;
  }
}

@Controller('decorated')
class Decorated {
  @Transactional()
  @Get('below')
  @SetMetadata('mark', 'below')
  async below(_first: string, _second: string): Promise<void> {}

  @Post('above')
  @SetMetadata('mark', 'above')
  @Transactional()
  async above(): Promise<void> {}

  @Transactional()
  @Sse('events')
  events(): Observable<never> {
    return from([]);
  }
}

let database: TestDatabase;
let testing: TestingModule;
let items: Items;
let engine: AsyncEngine;

beforeAll(async () => {
  database = await createDatabase();
  await database.query('CREATE TABLE items (name text)');
  testing = await Test.createTestingModule({
    imports: [DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0 })],
    providers: [Items, Everything],
  }).compile();
  items = testing.get(Items);
  engine = testing.get(AsyncEngine);
});
beforeEach(() => database.query('TRUNCATE items'));
afterEach(() => expect(engine.pool.checkedOut()).toBe(0));
afterAll(async () => {
  await testing.close();
  await database.drop();
});

describe('@Transactional on a method that returns a promise', () => {
  it('commits what it did and gives its value', async () => {
    expect(await items.add('a', 'b')).toBe(2);
    expect(await storedNames(database)).toEqual(['a', 'b']);
  });

  it('rolls everything back when it throws, and throws the same error', async () => {
    await expect(items.add('a', 'bad')).rejects.toBeInstanceOf(Refused);
    expect(await storedNames(database)).toEqual([]);
  });

  it('undoes a self-called method alone when its error is caught, with private fields in reach', async () => {
    expect(await items.addBoth('bad', 'good')).toBe('private fields work');
    expect(await storedNames(database)).toEqual(['good']);
  });

  it('tells of a swallowed statement error instead of reporting success', async () => {
    const failure: unknown = await items.swallow().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(UnexpectedRollbackError);
    expect(String((failure as Error).cause)).toContain('division by zero');
    expect(await storedNames(database)).toEqual([]);
  });

  it('commits before an error of noRollbackFor passes', async () => {
    await expect(items.addAnyway('kept')).rejects.toBeInstanceOf(Refused);
    expect(await storedNames(database)).toEqual(['kept']);
  });

  it('undoes what a promise that begins when it is awaited has written', async () => {
    await expect(items.addLate('late')).rejects.toBeInstanceOf(Refused);
    expect(await storedNames(database)).toEqual([]);
  });

  it('makes 4 promises where nothing is sent', async () => {
    expect(await promisesOf(() => items.nothing())).toBeLessThanOrEqual(4);
  });

  it('turns a throw before the promise into a rejection', async () => {
    await expect(items.throwsBeforeItsPromise()).rejects.toBeInstanceOf(Refused);
  });
});

describe('@Transactional on a method that returns an Observable', () => {
  it('commits before it completes', async () => {
    const seen = await lastValueFrom(items.stream('a', 'b').pipe(toArray()));
    expect(seen).toEqual(['a', 'b']);
    expect(await storedNames(database)).toEqual(['a', 'b']);
  });

  it('runs nothing before it is subscribed to, and each subscription is a transaction of its own', async () => {
    const cold = items.undeclared('x');
    expect(await storedNames(database)).toEqual([]);
    await lastValueFrom(cold);
    await lastValueFrom(cold);
    expect(await storedNames(database)).toEqual(['x', 'x']);
  });

  it('fails when the time of its transaction has passed, whatever it waits for', async () => {
    await expect(lastValueFrom(items.streamInTime())).rejects.toBeInstanceOf(TransactionTimeoutError);
    expect(await storedNames(database)).toEqual([]);
  });

  it('refuses a method that ran a statement before its Observable was subscribed to, and undoes it', async () => {
    expect(() => items.eager('lost')).toThrow(IllegalStateError);
    await items.statement;
    await eventually(() => expect(engine.pool.checkedOut()).toBe(0));
    expect(await storedNames(database)).toEqual([]);
  });
});

describe('@Transactional on an async generator', () => {
  it('commits before it reports its end', async () => {
    const seen: string[] = [];
    for await (const name of items.each('a', 'b')) seen.push(name);
    expect(seen).toEqual(['a', 'b']);
    expect(await storedNames(database)).toEqual(['a', 'b']);
  });

  it('rolls back when the consumer leaves early', async () => {
    for await (const name of items.each('a', 'b')) if (name === 'a') break;
    expect(await storedNames(database)).toEqual([]);
  });

  it.each<[string, () => AsyncGenerator<string>]>([
    ['async function*', () => items.each('a')],
    ['a method that returns one', () => items.delegated('a')],
  ])('that is never read keeps nothing open: %s', async (_form, call) => {
    const unread = engine.openScope();
    const lease = unread.lease();
    unread.run(call);
    await lease.release();
    expect(unread.isOpen).toBe(false);
  });

  it('that is left before it is read ends without a transaction', async () => {
    const generator = items.each('a');
    await generator.return(undefined);
    expect(await generator.next()).toEqual({ value: undefined, done: true });
    expect(await storedNames(database)).toEqual([]);
  });

  it('fails when the time of its transaction has passed, whatever its body waits for', async () => {
    const goOn = new Latch();
    const ended = new Latch();
    const generator = items.eachInTime(goOn.opened, () => ended.open());
    expect((await generator.next()).value).toBe('undone');
    await expect(generator.next()).rejects.toBeInstanceOf(TransactionTimeoutError);
    expect([await storedNames(database), engine.pool.checkedOut()]).toEqual([[], 0]);
    goOn.open();
    await ended.opened;
    expect(await generator.next()).toEqual({ value: undefined, done: true });
  });

  it('fails at its next step when the time of its transaction has passed between two', async () => {
    const ended = new Latch();
    const generator = items.eachInTime(Promise.resolve(), () => ended.open());
    await generator.next();
    await eventually(() => expect(engine.pool.checkedOut()).toBe(0));
    await expect(generator.next()).rejects.toBeInstanceOf(TransactionTimeoutError);
    await ended.opened;
    expect(await storedNames(database)).toEqual([]);
  });

  it('fails when it is read where its propagation refuses, and its body does not run', async () => {
    const generator = items.eachInside();
    await expect(generator.next()).rejects.toBeInstanceOf(PropagationError);
    expect(await generator.next()).toEqual({ value: undefined, done: true });
    expect(await storedNames(database)).toEqual([]);
  });

  it('rolls back when it throws', async () => {
    const consume = async (): Promise<void> => {
      for await (const name of items.each('a', 'bad')) expect(name).toBe('a');
    };
    await expect(consume()).rejects.toBeInstanceOf(Refused);
    expect(await storedNames(database)).toEqual([]);
  });
});

describe('@Transactional on a class', () => {
  it('covers its methods, leaves out @NonTransactional ones and lets plain values pass', async () => {
    const everything = testing.get(Everything);
    expect(await everything.inside()).toBe(true);
    expect(await everything.outside()).toBe(false);
    expect(everything.plain()).toBe(42);
  });
});

describe('what a decorated method keeps', () => {
  it.each([
    ['below', '/', 2],
    ['above', '/', 0],
  ] as const)('its metadata, name and length with the route %s it', (name, _path, length) => {
    const method = Object.getOwnPropertyDescriptor(Decorated.prototype, name)?.value as (
      ...args: unknown[]
    ) => unknown;
    expect(Reflect.getMetadata('mark', method)).toBe(name);
    expect(Reflect.getMetadata('path', method)).toBe(name);
    expect([method.name, method.length]).toEqual([name, length]);
  });

  it('the mark of an event stream', () => {
    const method: unknown = Object.getOwnPropertyDescriptor(Decorated.prototype, 'events')?.value;
    expect(Reflect.getMetadata('__sse__', method as object)).toBe(true);
  });
});

describe('@Transactional without an engine', () => {
  it('rejects and says what to do', async () => {
    const alone = new Items(undefined as unknown as AsyncEngine);
    await expect(alone.add('a')).rejects.toBeInstanceOf(NoActiveScopeError);
  });

  it('says so on a static method, and on an object without a prototype', async () => {
    class Static {
      @Transactional()
      static async add(): Promise<void> {}
    }
    await expect(Static.add()).rejects.toThrow(/^Static\.add .* It is static: name its engine/);
    const bare = Object.create(null) as Items;
    await expect(Items.prototype.add.call(bare, 'a')).rejects.toBeInstanceOf(NoActiveScopeError);
  });
});
