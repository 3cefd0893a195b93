import { Catch, Controller, Injectable, UseFilters, UseGuards } from '@nestjs/common';
import type { CanActivate, INestMicroservice, RpcExceptionFilter } from '@nestjs/common';
import { ClientTCP, EventPattern, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { Observable, concat, concatMap, from, lastValueFrom, of, take, tap, timer, toArray } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  AsyncConnection,
  AsyncEngine,
  DatabaseModule,
  NoActiveScopeError,
  Transactional,
  sql,
} from 'nest-async-engine';
import { Barrier, Latch, eventually } from '../../support/process/barrier.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;
const XID = sql`SELECT pg_current_xact_id()::text`;

@Injectable()
class Journal {
  readonly entries: unknown[] = [];
  twoEvents = new Barrier(2);
  ended = new Latch();
  mayGoOn = new Latch();
}

@Injectable()
class ItemStore {
  constructor(private readonly engine: AsyncEngine) {}

  @Transactional()
  async add(name: string): Promise<string> {
    await this.engine.execute(insert(name));
    return String(await this.engine.scalar(XID));
  }
}

@Injectable()
class Curious implements CanActivate {
  constructor(
    private readonly connection: AsyncConnection,
    private readonly journal: Journal,
  ) {}

  async canActivate(): Promise<boolean> {
    this.journal.entries.push(
      await this.connection.execute(insert('guard')).then(String, (error: unknown) => error),
    );
    return false;
  }
}

@Catch()
@Injectable()
class Auditor implements RpcExceptionFilter {
  constructor(private readonly engine: AsyncEngine) {}

  catch(error: Error): Observable<never> {
    const audit = async (): Promise<never> => {
      await this.engine.execute(insert(`audit of ${error.message}`));
      return await Promise.reject(error.message);
    };
    return from(audit());
  }
}

@Controller()
class Handlers {
  constructor(
    private readonly connection: AsyncConnection,
    private readonly engine: AsyncEngine,
    private readonly store: ItemStore,
    private readonly journal: Journal,
  ) {}

  @MessagePattern('unit')
  async unit(@Payload() names: string[]): Promise<boolean> {
    const ids = [String(await this.connection.scalar(XID))];
    for (const name of names) ids.push(await this.store.add(name));
    this.journal.entries.push(this.engine.currentConnection().inTransaction());
    return new Set(ids).size === 1;
  }

  @MessagePattern('fails')
  @UseFilters(Auditor)
  async fails(@Payload() name: string): Promise<void> {
    await this.store.add(name);
    throw new Error(`failure after ${name}`);
  }

  @MessagePattern('deferred')
  async deferred(): Promise<string> {
    await this.connection.execute(sql`INSERT INTO checked VALUES (1), (1)`);
    return 'must not be seen';
  }

  @MessagePattern('three')
  three(): Observable<string> {
    return from(['a', 'b', 'c'].map((name) => name));
  }

  @MessagePattern('ticks')
  ticks(): Observable<number> {
    return timer(0, 5).pipe(
      concatMap(async (tick) => {
        await this.connection.execute(insert(`tick ${tick}`));
        return tick;
      }),
    );
  }

  @MessagePattern('waits')
  async waits(): Promise<string> {
    await this.connection.execute(insert('before'));
    this.journal.ended.open();
    await this.journal.mayGoOn.opened;
    await this.connection.execute(insert('after'));
    return 'not heard';
  }

  @EventPattern('told')
  told(@Payload() _event: object): Observable<unknown> {
    return from(this.connection.execute(insert('told'))).pipe(
      tap(() => this.journal.ended.open()),
      concatMap(() => concat(of('a value'), this.journal.mayGoOn.opened)),
      concatMap(() => this.connection.execute(insert('told again'))),
    );
  }

  @MessagePattern('guarded')
  @UseGuards(Curious)
  guarded(): void {}

  @MessagePattern('setting')
  async setting(): Promise<unknown> {
    return await this.connection.scalar(sql`SELECT current_setting('app.pattern')`);
  }

  @EventPattern('happened')
  async first(@Payload() _event: object): Promise<void> {
    await this.connection.execute(insert('first'));
    this.journal.entries.push(await this.connection.scalar(XID));
    await this.journal.twoEvents.arrive();
    this.journal.ended.open();
    throw new Error('on purpose');
  }
}

@Controller()
class OtherHandlers {
  constructor(
    private readonly connection: AsyncConnection,
    private readonly journal: Journal,
  ) {}

  @EventPattern('happened')
  async second(@Payload() _event: object): Promise<void> {
    await this.connection.execute(insert('second'));
    this.journal.entries.push(await this.connection.scalar(XID));
    await this.journal.twoEvents.arrive();
  }
}

let database: TestDatabase;
let service: INestMicroservice;
let client: ClientTCP;
let engine: AsyncEngine;
let journal: Journal;

beforeAll(async () => {
  database = await createDatabase('messages');
  await database.query('CREATE TABLE items (name text)');
  await database.query('CREATE TABLE checked (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)');
  const testing = await Test.createTestingModule({
    imports: [
      DatabaseModule.forRoot({
        url: database.url,
        poolSize: 2,
        maxOverflow: 0,
        requestScope: {
          connection: (context) => ({
            settings: { 'app.pattern': (context as { getPattern(): string }).getPattern() },
          }),
        },
      }),
    ],
    controllers: [Handlers, OtherHandlers],
    providers: [ItemStore, Journal, Curious],
  }).compile();
  service = testing.createNestMicroservice<MicroserviceOptions>({
    logger: false,
    transport: Transport.TCP,
    options: { host: '127.0.0.1', port: 0 },
  });
  await service.listen();
  const { port } = service.unwrap<{ address(): { port: number } }>().address();
  client = new ClientTCP({ host: '127.0.0.1', port });
  engine = service.get(AsyncEngine);
  journal = service.get(Journal);
});
beforeEach(async () => {
  journal.entries.length = 0;
  journal.ended = new Latch();
  journal.mayGoOn = new Latch();
  await database.query('TRUNCATE items');
});
afterEach(() => expectIdle(engine, database));
afterAll(async () => {
  client.close();
  await service.close();
  await database.drop();
});

const send = <T>(pattern: string, data: unknown = {}): Promise<T> =>
  lastValueFrom(client.send<T>(pattern, data));

describe('a message over TCP whose controller injects the connection', () => {
  it('is one transaction, of the handle and of every @Transactional service', async () => {
    expect(await send('unit', ['a', 'b'])).toBe(true);
    expect(await storedNames(database)).toEqual(['a', 'b']);
    expect(journal.entries).toEqual([true]);
  });

  it('that fails is rolled back before the filter runs, whose own row is stored', async () => {
    await expect(send('fails', 'x')).rejects.toBe('failure after x');
    expect(await storedNames(database)).toEqual(['audit of failure after x']);
  });

  it('is answered only after its COMMIT, whose failure is the answer', async () => {
    await expect(send('deferred')).rejects.toMatchObject({ status: 'error' });
    expect(await database.query('SELECT * FROM checked')).toEqual([]);
  });

  it('runs beside others, each on a connection of its own', async () => {
    const answers = await Promise.all([send('unit', ['a']), send('unit', ['b']), send('unit', ['c'])]);
    expect(answers).toEqual([true, true, true]);
    expect(await storedNames(database)).toEqual(['a', 'b', 'c']);
  });

  it('has its own execution options, made of its context', async () => {
    expect(await send('setting')).toBe('setting');
  });

  it('gives every value of an Observable', async () => {
    expect(await lastValueFrom(client.send('three', {}).pipe(toArray()))).toEqual(['a', 'b', 'c']);
  });

  it('refuses the connection in a guard, which comes before the unit of work', async () => {
    await expect(send('guarded')).rejects.toBeDefined();
    expect(journal.entries).toEqual([expect.any(NoActiveScopeError)]);
  });
});

describe('a client that goes away', () => {
  let leaving: ClientTCP;
  beforeEach(() => {
    const { port } = service.unwrap<{ address(): { port: number } }>().address();
    leaving = new ClientTCP({ host: '127.0.0.1', port });
  });

  it('ends the stream that it has read from, which is undone', async () => {
    await lastValueFrom(leaving.send('ticks', {}).pipe(take(2)));
    leaving.close();
    await expectIdle(engine, database);
    expect(await storedNames(database)).toEqual([]);
  });

  it('does not end a handler that has answered nothing yet', async () => {
    leaving.send('waits', {}).subscribe({ error: () => undefined });
    await journal.ended.opened;
    leaving.close();
    journal.mayGoOn.open();
    await eventually(async () => expect(await storedNames(database)).toEqual(['after', 'before']));
  });

  it('does not end what it has started by an event', async () => {
    await lastValueFrom(leaving.emit('told', {}), { defaultValue: undefined });
    await journal.ended.opened;
    leaving.close();
    journal.mayGoOn.open();
    await eventually(async () =>
      expect(await storedNames(database)).toEqual(['told', 'told again', 'told again']),
    );
  });
});

describe('an event with two handlers', () => {
  it('is two units of work: the failure of one does not undo the other', async () => {
    await lastValueFrom(client.emit('happened', {}), { defaultValue: undefined });
    await journal.ended.opened;
    await eventually(async () => expect(await storedNames(database)).toEqual(['second']));
    expect(new Set(journal.entries).size).toBe(2);
  });
});
