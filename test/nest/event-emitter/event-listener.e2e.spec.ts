import 'reflect-metadata';
import { Injectable, Logger } from '@nestjs/common';
import { CqrsModule, EventBus, EventsHandler } from '@nestjs/cqrs';
import type { IEventHandler } from '@nestjs/cqrs';
import { EventEmitter2, EventEmitterModule } from '@nestjs/event-emitter';
import { Test } from '@nestjs/testing';
import type { TestingModule } from '@nestjs/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  AfterCommitError,
  AfterCommitPublisher,
  ArgumentError,
  AsyncEngine,
  DatabaseModule,
  NoActiveScopeError,
  Transactional,
  sql,
} from 'nest-async-engine';
import { TransactionalEventListener } from 'nest-async-engine/event-emitter';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

class Refused extends Error {}

class OrderPlaced {
  constructor(readonly id: number) {}
}

@Injectable()
class Journal {
  readonly lines: string[] = [];
}

@Injectable()
class Listeners {
  constructor(
    private readonly engine: AsyncEngine,
    private readonly journal: Journal,
  ) {}

  @TransactionalEventListener('order.placed', { phase: 'beforeCommit' })
  async audit({ id }: OrderPlaced): Promise<void> {
    await this.engine.execute(sql`INSERT INTO orders VALUES (${-id})`);
    this.journal.lines.push('before commit');
  }

  @TransactionalEventListener('order.placed')
  async mail(): Promise<void> {
    const seen = await this.engine.scalar<number>(sql`SELECT count(*)::int FROM orders`);
    const isInside = this.engine.tryCurrentConnection()?.inTransaction() ?? false;
    this.journal.lines.push(`after commit: ${seen} rows, inside: ${isInside}`);
  }

  @TransactionalEventListener('order.placed', { phase: 'afterRollback' })
  async apologize(): Promise<void> {
    this.journal.lines.push('after rollback');
  }

  @TransactionalEventListener('order.placed', { phase: 'afterCompletion' })
  async count(): Promise<void> {
    this.journal.lines.push('after completion');
  }

  @TransactionalEventListener('order.quiet')
  async failQuietly(): Promise<void> {
    throw new Refused('the mail server is away');
  }

  @TransactionalEventListener('order.loud', { suppressErrors: false })
  async failLoudly(): Promise<void> {
    throw new Refused('the mail server is away');
  }

  @TransactionalEventListener('order.vetoed', { phase: 'beforeCommit' })
  async veto(): Promise<void> {
    throw new Refused('not today');
  }
}

@EventsHandler(OrderPlaced)
class OrderPlacedHandler implements IEventHandler<OrderPlaced> {
  constructor(private readonly journal: Journal) {}

  handle({ id }: OrderPlaced): void {
    this.journal.lines.push(`handled ${id}`);
  }
}

@Injectable()
class Orders {
  constructor(
    private readonly engine: AsyncEngine,
    private readonly events: EventEmitter2,
    private readonly bus: EventBus,
    private readonly journal: Journal,
  ) {}

  @Transactional()
  async place(event: string, fails = false): Promise<void> {
    await this.engine.execute(sql`INSERT INTO orders VALUES (1)`);
    this.events.emit(event, new OrderPlaced(1));
    this.journal.lines.push('placed');
    if (fails) throw new Refused('no stock');
  }

  @Transactional()
  async placeInside(fails: boolean): Promise<void> {
    await this.place('order.placed', fails).catch(() => undefined);
    this.journal.lines.push('outer done');
  }

  @Transactional()
  async publish(...ids: number[]): Promise<void> {
    this.bus.publishAll(ids.map((id) => new OrderPlaced(id)));
    this.journal.lines.push('published');
    if (ids.includes(13)) throw new Refused('13');
  }
}

describe('listeners of a transaction', () => {
  let database: TestDatabase;
  let module: TestingModule;
  let orders: Orders;
  let journal: Journal;

  beforeEach(async () => {
    database = await createDatabase('listeners');
    await database.query('CREATE TABLE orders (id int)');
    module = await Test.createTestingModule({
      imports: [
        DatabaseModule.forRoot({ url: database.url }),
        EventEmitterModule.forRoot(),
        CqrsModule.forRoot(),
      ],
      providers: [Journal, Listeners, Orders, OrderPlacedHandler],
    }).compile();
    await module.init();
    orders = module.get(Orders);
    journal = module.get(Journal);
  });

  afterEach(async () => {
    expect(module.get(AsyncEngine).pool.checkedOut()).toBe(0);
    await module.close();
    await database.drop();
  });

  const stored = () => database.query<{ id: number }>('SELECT id FROM orders ORDER BY id');

  it('run at their phases of a commit, and what one writes before it is stored with it', async () => {
    await orders.place('order.placed');
    expect(journal.lines).toEqual([
      'placed',
      'before commit',
      'after commit: 2 rows, inside: false',
      'after completion',
    ]);
    expect(await stored()).toEqual([{ id: -1 }, { id: 1 }]);
  });

  it('of a commit do not run when the transaction is rolled back', async () => {
    await expect(orders.place('order.placed', true)).rejects.toThrow('no stock');
    expect(journal.lines).toEqual(['placed', 'after rollback', 'after completion']);
  });

  it('in a nested transaction wait for the outer one', async () => {
    await orders.placeInside(false);
    expect(journal.lines.slice(0, 2)).toEqual(['placed', 'outer done']);
    expect(journal.lines).toContain('after commit: 2 rows, inside: false');
  });

  it('in a nested transaction that was rolled back never hear of a commit', async () => {
    await orders.placeInside(true);
    expect(journal.lines).not.toContain('before commit');
    expect(journal.lines).toContain('after rollback');
    expect(journal.lines.filter((line) => line.startsWith('after commit'))).toEqual([]);
  });

  it('of a commit run at once for an event outside a transaction, and the others do not run', async () => {
    await module.get(EventEmitter2).emitAsync('order.placed', new OrderPlaced(1));
    await vi.waitFor(() => expect(journal.lines).toEqual(['after commit: 0 rows, inside: false']));
  });

  it('that fail after the commit are logged by default', async () => {
    const error = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    await orders.place('order.quiet');
    expect(error).toHaveBeenCalledWith('the mail server is away', expect.stringContaining('failQuietly'));
    error.mockRestore();
    expect(await stored()).toEqual([{ id: 1 }]);
  });

  it('that fail after the commit reach the caller with suppressErrors: false, who learns that all is stored', async () => {
    await expect(orders.place('order.loud')).rejects.toBeInstanceOf(AfterCommitError);
    expect(await stored()).toEqual([{ id: 1 }]);
  });

  it('that fail before the commit veto it', async () => {
    await expect(orders.place('order.vetoed')).rejects.toThrow('not today');
    expect(await stored()).toEqual([]);
  });

  it('cannot be delivered late', () => {
    const decorate = () =>
      TransactionalEventListener('order.placed', { nextTick: true })(Listeners.prototype, 'mail', {
        value: () => undefined,
      });
    expect(decorate).toThrow(ArgumentError);
  });

  it('say what is missing when nobody gave them an engine', async () => {
    const listeners = new Listeners(module.get(AsyncEngine), journal);
    await expect(async () => listeners.mail()).rejects.toBeInstanceOf(NoActiveScopeError);
  });

  it('of the CQRS event bus hear of an event when it is committed', async () => {
    const bus = module.get(EventBus);
    bus.publisher = new AfterCommitPublisher(module.get(AsyncEngine), bus.publisher);
    await orders.publish(1, 2);
    await expect(orders.publish(3, 13)).rejects.toThrow('13');
    bus.publish(new OrderPlaced(4));
    const heard = ['published', 'handled 1', 'handled 2', 'published', 'handled 4'];
    await vi.waitFor(() => expect(journal.lines).toEqual(heard));
  });
});
