import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import { CommandHandler, CqrsModule, EventBus, EventsHandler, Saga, ofType } from '@nestjs/cqrs';
import type { ICommandHandler, IEventHandler } from '@nestjs/cqrs';
import { Test } from '@nestjs/testing';
import type { TestingModule } from '@nestjs/testing';
import { map } from 'rxjs';
import type { Observable } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AfterCommitError, AfterCommitPublisher, AsyncEngine, DatabaseModule, sql } from 'nest-async-engine';
import { MemoryLogger, failureOf } from '../../support/items.js';
import { Latch, eventually } from '../../support/process/barrier.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;

class Placed {}
class SendMail {}

@Injectable()
class Stage {
  mayGoOn = new Latch();
}

@EventsHandler(Placed)
class PlacedHandler implements IEventHandler<Placed> {
  constructor(
    private readonly engine: AsyncEngine,
    private readonly stage: Stage,
  ) {}

  async handle(): Promise<void> {
    await this.stage.mayGoOn.opened;
    await this.engine.execute(insert('handled'));
  }
}

@CommandHandler(SendMail)
class SendMailHandler implements ICommandHandler<SendMail> {
  constructor(
    private readonly engine: AsyncEngine,
    private readonly stage: Stage,
  ) {}

  async execute(): Promise<void> {
    await this.stage.mayGoOn.opened;
    await this.engine.transaction(() => this.engine.execute(insert('mailed')));
  }
}

@Injectable()
class Mails {
  @Saga()
  onPlaced = (events: Observable<object>): Observable<SendMail> =>
    events.pipe(
      ofType(Placed),
      map(() => new SendMail()),
    );
}

let database: TestDatabase;
let testing: TestingModule;
let engine: AsyncEngine;
let bus: EventBus;
const log = new MemoryLogger();

beforeAll(async () => {
  database = await createDatabase('publisher');
  await database.query('CREATE TABLE items (name text)');
  testing = await Test.createTestingModule({
    imports: [DatabaseModule.forRoot({ url: database.url, logger: log }), CqrsModule.forRoot()],
    providers: [PlacedHandler, SendMailHandler, Mails, Stage],
  }).compile();
  await testing.init();
  [engine, bus] = [testing.get(AsyncEngine), testing.get(EventBus)];
});
beforeEach(async () => {
  log.errors.length = 0;
  testing.get(Stage).mayGoOn = new Latch();
  await database.query('TRUNCATE items');
});
afterEach(() => expectIdle(engine, database));
afterAll(async () => {
  await testing.close();
  await database.drop();
});

describe('an event that AfterCommitPublisher hands on', () => {
  it('is handled to its end, by sagas too, after the unit of work that published it', async () => {
    const { publisher } = bus;
    bus.publisher = new AfterCommitPublisher(engine, publisher);
    await engine.scope(async () => {
      await engine.currentConnection().execute(insert('order'));
      bus.publish(new Placed());
    });
    testing.get(Stage).mayGoOn.open();
    await eventually(async () => expect(await storedNames(database)).toEqual(['handled', 'mailed', 'order']));
    bus.publisher = publisher;
  });

  const broker = { publish: () => Promise.reject(new Error('the broker is down')) };

  it('and that its publisher refuses later fails the caller, who learns that all is stored', async () => {
    const publisher = new AfterCommitPublisher(engine, broker);
    const failure = await failureOf(
      engine.transaction(async () => {
        await engine.execute(insert('order'));
        publisher.publish(new Placed());
      }),
    );
    expect(failure).toBeInstanceOf(AfterCommitError);
    expect(await storedNames(database)).toEqual(['order']);
  });

  it('outside of a transaction and that its publisher refuses later is logged', async () => {
    new AfterCommitPublisher(engine, broker).publish(new Placed());
    await eventually(() => expect(log.errors).toEqual([expect.stringContaining('the broker is down')]));
  });
});
