import { Controller, Get, Injectable, UseFilters } from '@nestjs/common';
import type { CallHandler, ExecutionContext, INestApplication, NestInterceptor } from '@nestjs/common';
import { ClientTCP, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { concatMap, from, lastValueFrom, retry, toArray } from 'rxjs';
import type { Observable } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  AsyncConnection,
  AsyncEngine,
  DatabaseExceptionFilter,
  DatabaseModule,
  InjectConnection,
  getEngineToken,
  sql,
} from 'nest-async-engine';
import { failureOf } from '../../support/items.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;

@Injectable()
class Retrying implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(retry(1));
  }
}

@Injectable()
class Services {
  constructor(private readonly engine: AsyncEngine) {}

  async add(name: string): Promise<void> {
    await this.engine.execute(insert(name));
  }
}

@Controller()
class Handlers {
  static attempts = 0;

  constructor(
    private readonly connection: AsyncConnection,
    @InjectConnection('archive') private readonly archive: AsyncConnection,
    private readonly services: Services,
  ) {}

  @MessagePattern('unit')
  async unit(@Payload() name: string): Promise<string> {
    await this.connection.execute(insert(name));
    await this.archive.execute(insert(name));
    if (name === 'bad') throw new Error('on purpose');
    return name;
  }

  @MessagePattern('observable')
  observable(@Payload() names: string[]): Observable<string> {
    return from(names).pipe(
      concatMap(async (name) => {
        await this.connection.execute(insert(name));
        await this.services.add(`${name} by a service`);
        if (name === 'bad') throw new Error('on purpose');
        return name;
      }),
    );
  }

  @MessagePattern('flaky')
  async flaky(@Payload() name: string): Promise<string> {
    Handlers.attempts += 1;
    await this.connection.execute(insert(`${name} ${Handlers.attempts}`));
    if (Handlers.attempts === 1) throw new Error('on purpose');
    return name;
  }

  @MessagePattern('taken')
  @UseFilters(DatabaseExceptionFilter)
  async taken(@Payload() name: string): Promise<void> {
    await this.connection.execute(sql`INSERT INTO people VALUES (lower(${name}))`);
  }

  @MessagePattern('mistaken')
  @UseFilters(DatabaseExceptionFilter)
  async mistaken(): Promise<void> {
    await this.connection.execute(sql`SELECT secret FROM nowhere`);
  }

  @Get('route')
  async route(): Promise<string> {
    await this.connection.execute(insert('route'));
    return 'stored';
  }
}

let database: TestDatabase;
let archive: TestDatabase;
let app: INestApplication;
let client: ClientTCP;

beforeAll(async () => {
  [database, archive] = [await createDatabase('hybrid'), await createDatabase('hybrid_archive')];
  await database.query('CREATE TABLE items (name text)');
  await archive.query('CREATE TABLE items (name text)');
  await database.query('CREATE TABLE people (name text UNIQUE)');
});
beforeEach(async () => {
  Handlers.attempts = 0;
  await database.query("TRUNCATE items, people; INSERT INTO people VALUES ('ann')");
  await archive.query('TRUNCATE items');
});
afterAll(async () => {
  await database.drop();
  await archive.drop();
});

const send = <T>(pattern: string, data: unknown): Promise<T> => lastValueFrom(client.send<T>(pattern, data));

// Twice with the same classes: the second application of a process must not meet what is of the first.
describe.each([
  ['a configuration of its own', false],
  ['a configuration of its own, again', false],
  ['the configuration of the application', true],
])('a message of a hybrid application, whose microservice has %s', (_name, inherits) => {
  beforeAll(async () => {
    const testing = await Test.createTestingModule({
      imports: [
        DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0 }),
        DatabaseModule.forRoot({ name: 'archive', url: archive.url }),
      ],
      controllers: [Handlers],
      providers: [Services, Retrying],
    }).compile();
    app = testing.createNestApplication({ logger: false });
    const microservice = app.connectMicroservice<MicroserviceOptions>(
      { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } },
      { inheritAppConfig: inherits },
    );
    (inherits ? app : microservice).useGlobalInterceptors(app.get(Retrying));
    await app.startAllMicroservices();
    await app.listen(0, '127.0.0.1');
    const { port } = microservice.unwrap<{ address(): { port: number } }>().address();
    client = new ClientTCP({ host: '127.0.0.1', port });
  });
  afterEach(async () => {
    await expectIdle(app.get(AsyncEngine), database);
    await expectIdle(app.get<AsyncEngine>(getEngineToken('archive')), archive);
  });
  afterAll(async () => {
    client.close();
    await app.close();
  });

  it('is a unit of work in each database', async () => {
    expect(await send('unit', 'a')).toBe('a');
    await failureOf(send('unit', 'bad'));
    expect([await storedNames(database), await storedNames(archive)]).toEqual([['a'], ['a']]);
  });

  it('is a unit of work when its Observable is subscribed to, too, with the services that it calls', async () => {
    expect(await lastValueFrom(client.send('observable', ['a', 'b']).pipe(toArray()))).toEqual(['a', 'b']);
    await failureOf(send('observable', ['c', 'bad']));
    expect(await storedNames(database)).toEqual(['a', 'a by a service', 'b', 'b by a service']);
  });

  it('that an interceptor tries again has a unit of its own for each run', async () => {
    expect(await send('flaky', 'run')).toBe('run');
    expect(await storedNames(database)).toEqual(['run 2']);
  });

  it('is answered by DatabaseExceptionFilter with a code and nothing of the statement', async () => {
    expect(await failureOf(send('taken', 'ANN'))).toEqual({
      status: 'error',
      statusCode: 409,
      message: 'Conflict',
      code: 'UNIQUE_VIOLATION',
    });
    expect(await failureOf(send('mistaken', {}))).toEqual({
      status: 'error',
      statusCode: 500,
      message: 'Internal server error',
    });
  });

  it('leaves the routes of its controller as they are', async () => {
    const { port } = app.getHttpServer().address() as { port: number };
    expect(await (await fetch(`http://127.0.0.1:${port}/route`)).text()).toBe('stored');
    expect(await storedNames(database)).toEqual(['route']);
  });
});
