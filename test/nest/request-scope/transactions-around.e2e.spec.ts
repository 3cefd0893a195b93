import { Controller, Get, Injectable, Module, UseInterceptors } from '@nestjs/common';
import type {
  CallHandler,
  ExecutionContext,
  MiddlewareConsumer,
  NestInterceptor,
  NestMiddleware,
  NestModule,
} from '@nestjs/common';
import { ClientTCP, MessagePattern, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import type { ServerResponse } from 'node:http';
import { defer, from, lastValueFrom } from 'rxjs';
import type { Observable } from 'rxjs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  AsyncEngine,
  DatabaseModule,
  InjectScopedConnection,
  Transactional,
  UseTransaction,
  sql,
} from 'nest-async-engine';
import type { AsyncConnection } from 'nest-async-engine';
import { inTransaction } from 'nest-async-engine/rx';
import { failureOf } from '../../support/items.js';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { eventually } from '../../support/process/barrier.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;

@Injectable()
class AroundPromise implements NestInterceptor {
  constructor(private readonly engine: AsyncEngine) {}

  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return from(this.engine.transaction(() => lastValueFrom(next.handle())));
  }
}

@Injectable()
class AroundObservable implements NestInterceptor {
  constructor(private readonly engine: AsyncEngine) {}

  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return defer(() => next.handle()).pipe(inTransaction(this.engine));
  }
}

@Injectable()
class AroundScope implements NestInterceptor {
  constructor(private readonly engine: AsyncEngine) {}

  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const work = (): Promise<unknown> => {
      this.engine.currentConnection();
      return lastValueFrom(next.handle());
    };
    return from(this.engine.scope(work));
  }
}

/** Commits when the answer is written, unless that is an error. */
@Injectable()
class AroundRequest implements NestMiddleware {
  constructor(private readonly engine: AsyncEngine) {}

  use(_request: unknown, given: ServerResponse | { raw: ServerResponse }, next: () => void): void {
    const response = 'raw' in given ? given.raw : given;
    const answered = new Promise<void>((succeed, fail) => {
      response.on('close', () => (response.statusCode === 200 ? succeed() : fail(new Error('refused'))));
    });
    const work = (): Promise<void> => {
      next();
      return answered;
    };
    this.engine.transaction(work).catch(() => undefined);
  }
}

@Injectable()
class Items {
  constructor(private readonly engine: AsyncEngine) {}

  @Transactional()
  async add(name: string): Promise<void> {
    await this.engine.execute(insert(name));
    if (name === 'refused') throw new Error('on purpose');
  }

  /** One row of the handler's own, one of a service, and one that the service undoes. */
  async good(): Promise<string> {
    await this.engine.execute(insert('a1'));
    await this.add('a2');
    await failureOf(this.add('refused'));
    return 'done';
  }

  async bad(): Promise<never> {
    await this.engine.execute(insert('b1'));
    await this.add('b2');
    throw new Error('on purpose');
  }
}

/** A controller of its own for each way. */
function controllerOf(way: string, around: ClassDecorator): new (items: Items) => object {
  @Controller(way)
  @around
  class Way {
    constructor(private readonly items: Items) {}

    @Get('good')
    @MessagePattern(`${way}/good`)
    good(): Promise<string> {
      return this.items.good();
    }

    @Get('bad')
    @MessagePattern(`${way}/bad`)
    bad(): Promise<never> {
      return this.items.bad();
    }
  }
  return Way;
}

const INTERCEPTORS: Readonly<Record<string, ClassDecorator>> = {
  '@UseTransaction': UseTransaction(),
  'engine.transaction()': UseInterceptors(AroundPromise),
  'inTransaction()': UseInterceptors(AroundObservable),
  'engine.scope()': UseInterceptors(AroundScope),
};
const WAYS = Object.keys(INTERCEPTORS);
const pathOf = (way: string): string => `way${WAYS.indexOf(way)}`;

const XID = sql`SELECT pg_current_xact_id()::text`;

@Controller('middleware/unit')
class Unit {
  constructor(
    private readonly engine: AsyncEngine,
    @InjectScopedConnection() private readonly connection: AsyncConnection,
  ) {}

  @Get()
  async isOne(): Promise<boolean> {
    return (await this.engine.scalar(XID)) === (await this.connection.scalar(XID));
  }
}

@Module({
  controllers: [
    Unit,
    controllerOf('middleware', () => undefined),
    ...WAYS.map((way) => controllerOf(pathOf(way), INTERCEPTORS[way] as ClassDecorator)),
  ],
  providers: [Items, AroundRequest],
})
class Application implements NestModule {
  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(AroundRequest).forRoutes('middleware/*path');
  }
}

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('transactions_around');
  await database.query('CREATE TABLE items (name text)');
});
beforeEach(() => database.query('TRUNCATE items'));
afterAll(() => database.drop());

const metadata = () => ({ imports: [DatabaseModule.forRoot({ url: database.url }), Application] });

describe.each(ADAPTERS)('a transaction around a handler on %s', (_adapter, createAdapter) => {
  let running: RunningApp;
  beforeAll(async () => {
    running = await startApp(metadata(), createAdapter());
  });
  afterAll(() => running.close());

  const answersOf = async (path: string): Promise<number[]> => {
    const answers = [await fetch(`${running.url}/${path}/bad`), await fetch(`${running.url}/${path}/good`)];
    return answers.map(({ status }) => status);
  };

  it.each(WAYS)('is that of what the handler and its services do: an interceptor with %s', async (way) => {
    expect(await answersOf(pathOf(way))).toEqual([500, 200]);
    expect(await storedNames(database)).toEqual(['a1', 'a2']);
    await expectIdle(running.get(AsyncEngine), database);
  });

  it('is that of what the handler and its services do: a middleware', async () => {
    expect(await answersOf('middleware')).toEqual([500, 200]);
    await eventually(async () => expect(await storedNames(database)).toEqual(['a1', 'a2']));
    await expectIdle(running.get(AsyncEngine), database);
  });

  it('leaves a handler that holds the connection its own: a middleware', async () => {
    const answer = await fetch(`${running.url}/middleware/unit`);
    expect(await answer.text()).toBe('true');
    await expectIdle(running.get(AsyncEngine), database);
  });
});

describe('a transaction around the handler of a message', () => {
  it.each(WAYS)('is that of what the handler and its services do: %s', async (way) => {
    const testing = await Test.createTestingModule(metadata()).compile();
    const app = testing.createNestMicroservice<MicroserviceOptions>({
      transport: Transport.TCP,
      options: { host: '127.0.0.1', port: 0 },
      logger: false,
    });
    await app.listen();
    const { port } = app.unwrap<{ address(): { port: number } }>().address();
    const client = new ClientTCP({ host: '127.0.0.1', port });
    try {
      await failureOf(lastValueFrom(client.send(`${pathOf(way)}/bad`, {})));
      expect(await lastValueFrom(client.send(`${pathOf(way)}/good`, {}))).toBe('done');
      expect(await storedNames(database)).toEqual(['a1', 'a2']);
      await expectIdle(app.get(AsyncEngine), database);
    } finally {
      client.close();
      await app.close();
    }
  });
});
