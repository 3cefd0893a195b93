import { Test } from '@nestjs/testing';
import type { TestingModule } from '@nestjs/testing';
import { CommandBus, CommandHandler, CqrsModule, EventBus, EventsHandler } from '@nestjs/cqrs';
import type { ICommandHandler, IEventHandler } from '@nestjs/cqrs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AsyncEngine, DatabaseModule, Transactional, sql } from 'nest-async-engine';
import { Latch } from '../../support/process/barrier.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;
const XID = sql`SELECT pg_current_xact_id()::text`;

class Add {
  constructor(readonly name: string) {}
}

class Added {
  constructor(
    readonly name: string,
    readonly handled: Latch,
  ) {}
}

@CommandHandler(Add)
class AddHandler implements ICommandHandler<Add> {
  constructor(private readonly engine: AsyncEngine) {}

  @Transactional()
  async execute({ name }: Add): Promise<string> {
    await this.engine.execute(insert(name));
    if (name === 'refused') throw new RangeError('mine');
    return await this.engine.scalars<string>(XID).one();
  }
}

@EventsHandler(Added)
class AddedHandler implements IEventHandler<Added> {
  constructor(private readonly engine: AsyncEngine) {}

  async handle({ name, handled }: Added): Promise<void> {
    await this.engine.execute(insert(`event of ${name}`));
    handled.open();
  }
}

let database: TestDatabase;
let running: TestingModule;
let engine: AsyncEngine;
beforeAll(async () => {
  database = await createDatabase('commands');
  await database.query('CREATE TABLE items (name text)');
  running = await Test.createTestingModule({
    imports: [CqrsModule, DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0 })],
    providers: [AddHandler, AddedHandler],
  }).compile();
  await running.init();
  engine = running.get(AsyncEngine);
});
beforeEach(() => database.query('TRUNCATE items'));
afterEach(() => expectIdle(engine, database));
afterAll(async () => {
  await running.close();
  await database.drop();
});

const add = (name: string): Promise<string> => running.get(CommandBus).execute(new Add(name));

describe('commands of CQRS in an ambient transaction', () => {
  it('take part in it', async () => {
    await engine.transaction(async () => {
      const around = await engine.scalar(XID);
      expect(await add('one')).toBe(around);
      expect(await add('two')).toBe(around);
    });
    expect(await storedNames(database)).toEqual(['one', 'two']);
  });

  it('are undone with it', async () => {
    const work = engine.transaction(async () => {
      await add('one');
      throw new RangeError('mine');
    });
    await expect(work).rejects.toThrow('mine');
    expect(await storedNames(database)).toEqual([]);
  });

  it('are undone alone when they fail and the caller goes on', async () => {
    await engine.transaction(async () => {
      await add('one');
      await add('refused').catch(() => undefined);
    });
    expect(await storedNames(database)).toEqual(['one']);
  });

  it('are transactions of their own outside of it', async () => {
    const ids = await Promise.all(['one', 'two', 'three'].map(add));
    expect(new Set(ids).size).toBe(3);
    expect(await storedNames(database)).toEqual(['one', 'three', 'two']);
  });

  it('take an event that they wait for with them', async () => {
    const work = engine.transaction(async () => {
      await add('one');
      const added = new Added('one', new Latch());
      running.get(EventBus).publish(added);
      await added.handled.opened;
      throw new RangeError('mine');
    });
    await expect(work).rejects.toThrow('mine');
    expect(await storedNames(database)).toEqual([]);
  });
});
