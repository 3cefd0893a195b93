import 'reflect-metadata';
import { Inject, Injectable } from '@nestjs/common';
import { EventEmitter2, EventEmitterModule } from '@nestjs/event-emitter';
import { Test } from '@nestjs/testing';
import type { TestingModule } from '@nestjs/testing';
import { defer, lastValueFrom } from 'rxjs';
import type { Observable } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  AsyncEngine,
  DatabaseModule,
  NonTransactional,
  Transactional,
  getEngineToken,
  sql,
} from 'nest-async-engine';
import { TransactionalEventListener } from 'nest-async-engine/event-emitter';
import { eventually } from '../../support/process/barrier.js';
import { MemoryLogger, failureOf } from '../../support/items.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;
const LEVEL = sql`SELECT current_setting('transaction_isolation')`;

/** A repository of no database in particular. */
abstract class Repository {
  constructor(readonly engine: AsyncEngine) {}

  @Transactional()
  async save(name: string): Promise<string | undefined> {
    await this.engine.execute(insert(name));
    if (name === 'bad') throw new Error('on purpose');
    return this.engine.currentConnection().getTransaction()?.origin;
  }

  @Transactional()
  stream(name: string): Observable<unknown> {
    return defer(() => this.save(name));
  }

  @Transactional()
  async *each(name: string): AsyncGenerator<unknown> {
    yield await this.save(name);
  }

  @Transactional({ readOnly: true })
  async level(): Promise<unknown> {
    return [await this.engine.scalar(LEVEL), await this.engine.scalar(sql`SHOW transaction_read_only`)];
  }
}

@Transactional({ engine: 'archive', isolationLevel: 'SERIALIZABLE' })
@Injectable()
class Archive extends Repository {
  constructor(@Inject(getEngineToken('archive')) engine: AsyncEngine) {
    super(engine);
  }

  @Transactional({ isolationLevel: 'REPEATABLE READ' })
  async ownLevel(): Promise<unknown> {
    return await this.engine.scalar(LEVEL);
  }

  async saveBySuper(name: string): Promise<void> {
    await super.save(name);
    throw new Error('after super.save()');
  }
}

@Injectable()
class Chooser extends Repository {
  constructor(@Inject(getEngineToken('archive')) engine: AsyncEngine) {
    super(engine);
  }

  @Transactional({ engine: (self: Chooser) => self.engine })
  async saveChosen(name: string): Promise<void> {
    await this.engine.execute(insert(name));
    throw new Error('on purpose');
  }

  @Transactional({ engine: () => undefined as unknown as AsyncEngine })
  async saveNowhere(): Promise<void> {}
}

@Transactional()
@Injectable()
class Plain extends Repository {
  constructor(engine: AsyncEngine) {
    super(engine);
  }

  statement: Promise<unknown> = Promise.resolve();

  hit(): string {
    this.statement = this.engine.execute(sql`SELECT 1 / 0`).catch(() => undefined);
    return 'hit';
  }
}

@Transactional()
@Injectable()
class Listeners {
  constructor(private readonly engine: AsyncEngine) {}

  async #bookHalf(name: string): Promise<void> {
    await this.engine.execute(insert(name));
    throw new Error('no credit');
  }

  @TransactionalEventListener('by.class')
  async byClass(): Promise<void> {
    await this.#bookHalf('by class');
  }

  @Transactional({ isolationLevel: 'SERIALIZABLE' })
  @TransactionalEventListener('above')
  async above(): Promise<void> {
    await this.#bookHalf(`above ${String(await this.engine.scalar(LEVEL))}`);
  }

  @TransactionalEventListener('below')
  @Transactional()
  async below(): Promise<void> {
    await this.#bookHalf('below');
  }

  @NonTransactional()
  @TransactionalEventListener('first')
  @TransactionalEventListener('second')
  async exempt(): Promise<void> {
    await this.#bookHalf('exempt');
  }
}

let shop: TestDatabase;
let archive: TestDatabase;
let testing: TestingModule;
const log = new MemoryLogger();

beforeAll(async () => {
  [shop, archive] = [await createDatabase('shop'), await createDatabase('archive')];
  for (const database of [shop, archive]) await database.query('CREATE TABLE items (name text)');
  testing = await Test.createTestingModule({
    imports: [
      DatabaseModule.forRoot({ url: shop.url, logger: log }),
      DatabaseModule.forRoot({ url: archive.url, name: 'archive' }),
      EventEmitterModule.forRoot(),
    ],
    providers: [Archive, Chooser, Plain, Listeners],
  }).compile();
  testing.useLogger(false);
  await testing.init();
});
beforeEach(async () => {
  log.errors.length = 0;
  for (const database of [shop, archive]) await database.query('TRUNCATE items');
});
afterEach(async () => {
  await expectIdle(testing.get(AsyncEngine), shop);
  await expectIdle(testing.get<AsyncEngine>(getEngineToken('archive')), archive);
});
afterAll(async () => {
  await testing.close();
  for (const database of [shop, archive]) await database.drop();
});

const drain = async (values: AsyncIterable<unknown>): Promise<void> => {
  for await (const value of values) expect(value).toBeDefined();
};

describe('an inherited @Transactional method', () => {
  it.each<[string, (name: string) => Promise<unknown>]>([
    ['a promise', (name) => testing.get(Archive).save(name)],
    ['an Observable', (name) => lastValueFrom(testing.get(Archive).stream(name))],
    ['an async generator', (name) => drain(testing.get(Archive).each(name))],
    ['a call of super', (name) => testing.get(Archive).saveBySuper(name)],
  ])('is a transaction of the database of its subclass: %s', async (_form, save) => {
    await failureOf(save('bad'));
    expect([await storedNames(archive), await storedNames(shop)]).toEqual([[], []]);
  });

  it('is a transaction of the unnamed database in another subclass, and named after the class', async () => {
    expect(await testing.get(Plain).save('a')).toBe('Plain.save');
    expect(await testing.get(Archive).save('b')).toBe('Archive.save');
    expect([await storedNames(shop), await storedNames(archive)]).toEqual([['a'], ['b']]);
  });

  it('has its own options, and where the subclass says something, those of the subclass', async () => {
    expect(await testing.get(Archive).level()).toEqual(['serializable', 'on']);
  });
});

describe('an option of @Transactional on a method', () => {
  it('wins over the same one of its class, whose other options stay', async () => {
    expect(await testing.get(Archive).ownLevel()).toBe('repeatable read');
  });

  it('may be a function that finds the engine of the object', async () => {
    await failureOf(testing.get(Chooser).saveChosen('lost'));
    expect(await storedNames(archive)).toEqual([]);
  });

  it('is refused when the function finds no engine', async () => {
    const failure = await failureOf(testing.get(Chooser).saveNowhere());
    expect(failure).toBeInstanceOf(ArgumentError);
    expect(String(failure)).toContain('Chooser.saveNowhere');
  });
});

describe('@Transactional on a method that is called without its object', () => {
  it('rejects with a sentence that says so', async () => {
    const save = testing.get(Plain).save.bind(undefined as unknown as Plain);
    await expect(save('a')).rejects.toThrow('without its object');
  });
});

describe('a plain value of a @Transactional class', () => {
  it('is given at once, and a failure of what it began is logged', async () => {
    expect(testing.get(Plain).hit()).toBe('hit');
    await testing.get(Plain).statement;
    await eventually(() => expect(log.errors).toEqual([expect.stringContaining('Plain.hit')]));
  });
});

describe('@Transactional on a listener of a transaction', () => {
  it.each(['by.class', 'above', 'below'])('undoes what a listener that fails has done: %s', async (event) => {
    const engine = testing.get(AsyncEngine);
    await engine.transaction(async () => {
      await engine.execute(insert('order'));
      testing.get(EventEmitter2).emit(event);
    });
    expect(await storedNames(shop)).toEqual(['order']);
  });

  it.each(['first', 'second'])('is left out by @NonTransactional: the %s event', async (event) => {
    const engine = testing.get(AsyncEngine);
    await engine.transaction(async () => {
      await engine.execute(insert('order'));
      testing.get(EventEmitter2).emit(event);
    });
    expect(await storedNames(shop)).toEqual(['exempt', 'order']);
  });

  it('refuses two registrations with different phases on one method', () => {
    const twice = () => {
      class Twice {
        @TransactionalEventListener('a')
        @TransactionalEventListener('a', { phase: 'afterRollback' })
        hear(): void {}
      }
      return Twice;
    };
    expect(twice).toThrow(ArgumentError);
  });
});
