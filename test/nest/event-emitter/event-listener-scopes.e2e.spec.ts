import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import { EventEmitter2, EventEmitterModule } from '@nestjs/event-emitter';
import { Test } from '@nestjs/testing';
import type { TestingModule } from '@nestjs/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AsyncConnection, AsyncEngine, DatabaseModule, Transactional, sql } from 'nest-async-engine';
import { TransactionalEventListener } from 'nest-async-engine/event-emitter';
import { rollbackEach } from 'nest-async-engine/testing';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;

@Injectable()
class Journal {
  readonly lines: string[] = [];
}

@Injectable()
class Listener {
  constructor(private readonly journal: Journal) {}

  @TransactionalEventListener('placed')
  async mail(name: string): Promise<void> {
    this.journal.lines.push(`mail of ${name}`);
  }

  @TransactionalEventListener('placed', { phase: 'afterRollback' })
  async apologize(name: string): Promise<void> {
    this.journal.lines.push(`apology of ${name}`);
  }
}

/** Request-scoped by what it injects: Nest makes one for each event, in its own time. */
@Injectable()
class ScopedListener {
  constructor(
    private readonly connection: AsyncConnection,
    private readonly journal: Journal,
  ) {}

  @TransactionalEventListener('placed', { phase: 'beforeCommit' })
  async audit(name: string): Promise<void> {
    await this.connection.execute(insert(`audit of ${name}`));
    this.journal.lines.push(`audit of ${name}`);
  }
}

@Injectable()
class Orders {
  constructor(
    private readonly engine: AsyncEngine,
    private readonly events: EventEmitter2,
  ) {}

  @Transactional()
  async place(name: string, fails = false): Promise<void> {
    await this.engine.execute(insert(name));
    // Awaited: so that a listener that Nest has to make first is there before the COMMIT.
    await this.events.emitAsync('placed', name);
    if (fails) throw new Error('no stock');
  }
}

let database: TestDatabase;
let module: TestingModule;
let engine: AsyncEngine;
let lines: string[];

const useModule = (listener: abstract new (...args: never[]) => object): void => {
  beforeAll(async () => {
    module = await Test.createTestingModule({
      imports: [DatabaseModule.forRoot({ url: database.url }), EventEmitterModule.forRoot()],
      providers: [Journal, Orders, listener as new () => object],
    }).compile();
    await module.init();
    engine = module.get(AsyncEngine);
    ({ lines } = module.get(Journal));
  });
  beforeEach(() => void lines.splice(0));
  afterAll(() => module.close());
};

beforeAll(async () => {
  database = await createDatabase('listener_scopes');
  await database.query('CREATE TABLE items (name text)');
});
afterAll(() => database.drop());

describe('a listener of a transaction inside rollbackEach', () => {
  useModule(Listener);
  rollbackEach(() => module, { beforeEach, afterEach });

  // Twice the same: the second would meet the row of the first.
  it.each(['first', 'second'])('hears of the commit of the application, in the %s test', async () => {
    await module.get(Orders).place('own');
    expect(lines).toEqual(['mail of own']);
    expect(await engine.scalar(sql`SELECT count(*)::int FROM items`)).toBe(1);
    expect(await storedNames(database)).toEqual([]);
  });

  it('hears of its rollback', async () => {
    await expect(module.get(Orders).place('own', true)).rejects.toThrow('no stock');
    expect(lines).toEqual(['apology of own']);
  });
});

describe('a request-scoped listener of a transaction', () => {
  useModule(ScopedListener);
  beforeEach(() => database.query('TRUNCATE items'));
  afterEach(() => expectIdle(engine, database));

  it('takes part in the scope that emits, and what it writes is committed with it', async () => {
    await engine.scope(() => module.get(Orders).place('own'));
    expect(lines).toEqual(['audit of own']);
    expect(await storedNames(database)).toEqual(['audit of own', 'own']);
  });

  it('is not called for what was rolled back', async () => {
    const failing = engine.scope(() => module.get(Orders).place('own', true));
    await expect(failing).rejects.toThrow('no stock');
    expect([lines, await storedNames(database)]).toEqual([[], []]);
  });
});
