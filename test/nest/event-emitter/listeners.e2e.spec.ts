import { Controller, Get, Injectable, Module } from '@nestjs/common';
import {
  CommandBus,
  CommandHandler,
  CqrsModule,
  EventBus,
  EventsHandler,
  QueryBus,
  QueryHandler,
  UnhandledExceptionBus,
} from '@nestjs/cqrs';
import type { ICommandHandler, IEventHandler, IQueryHandler } from '@nestjs/cqrs';
import { EventEmitter2, EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import { Cron, Interval, ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import { Test } from '@nestjs/testing';
import { firstValueFrom } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  AsyncConnection,
  AsyncEngine,
  DatabaseModule,
  ScopeEndedError,
  Transactional,
  sql,
} from 'nest-async-engine';
import { Latch } from '../../support/process/barrier.js';
import { startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;

class AddItem {
  constructor(readonly name: string) {}
}
class CountItems {}
class ItemAdded {
  constructor(readonly name: string) {}
}

/** Request-scoped by what it injects. */
@Injectable()
class Listener {
  constructor(private readonly connection: AsyncConnection) {}

  @OnEvent('item.added', { suppressErrors: false })
  async added(name: string): Promise<void> {
    await this.connection.execute(insert(`heard of ${name}`));
  }
}

@CommandHandler(AddItem)
class AddItemHandler implements ICommandHandler<AddItem> {
  constructor(private readonly connection: AsyncConnection) {}

  async execute({ name }: AddItem): Promise<void> {
    await this.connection.execute(insert(name));
    if (name === 'bad') throw new Error('on purpose');
  }
}

@QueryHandler(CountItems)
class CountItemsHandler implements IQueryHandler<CountItems> {
  constructor(private readonly connection: AsyncConnection) {}

  async execute(): Promise<unknown> {
    return await this.connection.scalar(sql`SELECT count(*)::int FROM items`);
  }
}

@Injectable()
class Journal {
  readonly mayPublish = new Latch();
}

@EventsHandler(ItemAdded)
class ItemAddedHandler implements IEventHandler<ItemAdded> {
  constructor(private readonly connection: AsyncConnection) {}

  async handle({ name }: ItemAdded): Promise<void> {
    await this.connection.execute(insert(`event of ${name}`));
  }
}

@Injectable()
class Jobs {
  readonly ran = new Latch();
  readonly failed = new Latch();

  constructor(
    private readonly engine: AsyncEngine,
    private readonly commands: CommandBus,
  ) {}

  @Interval('transactional', 1)
  @Transactional()
  async transactional(): Promise<void> {
    await this.engine.execute(insert('job'));
    this.engine.afterCommit(() => this.ran.open());
  }

  @Cron('* * * * * *', { name: 'scoped', disabled: true })
  async scoped(): Promise<void> {
    await this.engine.scope(() => this.commands.execute(new AddItem('bad'))).catch(() => this.failed.open());
  }
}

@Controller()
class Entrance {
  constructor(
    private readonly engine: AsyncEngine,
    private readonly emitter: EventEmitter2,
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly events: EventBus,
    private readonly journal: Journal,
  ) {}

  @Get('event')
  async event(): Promise<void> {
    await this.engine.currentConnection().execute(insert('request'));
    await this.emitter.emitAsync('item.added', 'request');
    throw new Error('on purpose');
  }

  @Get('commands')
  async run(): Promise<unknown> {
    await this.commands.execute(new AddItem('first'));
    const seen: unknown = await this.queries.execute(new CountItems());
    await this.commands.execute(new AddItem('bad')).catch(() => undefined);
    return { seen };
  }

  @Get('late')
  async late(): Promise<string> {
    await this.commands.execute(new AddItem('in time'));
    void this.journal.mayPublish.opened.then(() => this.events.publish(new ItemAdded('too late')));
    return 'done';
  }
}

let database: TestDatabase;
let running: RunningApp;
let engine: AsyncEngine;

beforeAll(async () => {
  database = await createDatabase('listeners');
  await database.query('CREATE TABLE items (name text)');
  running = await startApp({
    imports: [
      DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0 }),
      EventEmitterModule.forRoot(),
      ScheduleModule.forRoot(),
      CqrsModule.forRoot(),
    ],
    controllers: [Entrance],
    providers: [Listener, AddItemHandler, CountItemsHandler, ItemAddedHandler, Journal, Jobs],
  });
  engine = running.get(AsyncEngine);
});
beforeEach(() => database.query('TRUNCATE items'));
afterEach(() => expectIdle(engine, database));
afterAll(async () => {
  await running.close();
  await database.drop();
});

const status = async (path: string): Promise<number> => (await fetch(`${running.url}/${path}`)).status;

// First, because it runs from the start on.
describe('a scheduled job', () => {
  it('that is @Transactional commits', async () => {
    await running.get(Jobs).ran.opened;
    running.get(SchedulerRegistry).deleteInterval('transactional');
    await expectIdle(engine, database);
    expect(new Set(await storedNames(database))).toEqual(new Set(['job']));
  });

  it('opens a scope for what injects the connection, and a failure undoes it', async () => {
    await expectIdle(engine, database);
    await running.get(SchedulerRegistry).getCronJob('scoped').fireOnTick();
    await running.get(Jobs).failed.opened;
    expect(await storedNames(database)).toEqual([]);
  });
});

describe('a request-scoped event listener', () => {
  it('takes part in the request that emits: one unit of work, undone together', async () => {
    expect(await status('event')).toBe(500);
    expect(await storedNames(database)).toEqual([]);
  });

  it('takes part in a scope of a job', async () => {
    await engine.scope(() => running.get(EventEmitter2).emitAsync('item.added', 'job'));
    expect(await storedNames(database)).toEqual(['heard of job']);
  });

  it('outside of both is told what to do, and nothing runs', async () => {
    const emitted = running.get(EventEmitter2).emitAsync('item.added', 'nobody');
    await expect(emitted).rejects.toThrow(/where there is no scope.*inject AsyncEngine/);
    expect(await storedNames(database)).toEqual([]);
  });
});

describe('request-scoped CQRS handlers', () => {
  it('share the transaction of the request: the query sees what the command wrote', async () => {
    const answer = await fetch(`${running.url}/commands`);
    expect(await answer.json()).toEqual({ seen: 1 });
    expect(await storedNames(database)).toEqual(['bad', 'first']);
  });

  it('of an event that comes after its request are refused, never autocommitted', async () => {
    expect(await status('late')).toBe(200);
    await expectIdle(engine, database);
    const failure = firstValueFrom(running.get(UnhandledExceptionBus));
    running.get(Journal).mayPublish.open();
    expect((await failure).exception).toBeInstanceOf(ScopeEndedError);
    expect(await storedNames(database)).toEqual(['in time']);
  });

  it('outside of a request are told what to do', async () => {
    const counted = running.get(QueryBus).execute(new CountItems());
    await expect(counted).rejects.toThrow(/where there is no scope/);
    expect(await engine.scope(() => running.get(QueryBus).execute(new CountItems()))).toBe(0);
  });
});

describe('what Nest calls on singletons only', () => {
  @Injectable()
  class Reports {
    constructor(readonly connection: AsyncConnection) {}
  }

  it('is refused at the start when a connection reached it, with the way it came', async () => {
    @Injectable()
    class Cleanup {
      constructor(readonly reports: Reports) {}

      @Cron('0 0 * * *')
      async run(): Promise<void> {}
    }
    @Module({ providers: [Cleanup, Reports] })
    class CleanupModule {}

    const testing = await Test.createTestingModule({
      imports: [DatabaseModule.forRoot({ url: database.url }), ScheduleModule.forRoot(), CleanupModule],
    }).compile();
    await expect(testing.init()).rejects.toThrow(
      /Cleanup\.run, a scheduled job, would never run.*Cleanup → Reports → AsyncConnection/,
    );
    await testing.get(AsyncEngine).aclose();
  });
});
