import { Controller, Get, Injectable, Module, Query } from '@nestjs/common';
import type { MiddlewareConsumer, NestMiddleware } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AsyncConnection, AsyncEngine, DatabaseModule, InjectScopedConnection, sql } from 'nest-async-engine';
import { startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

/** What an application keeps in `raw`: the body, as it came. */
const RAW = { text: 'a body', bytes: Buffer.from('a body'), nothing: null, object: { body: 1 } } as const;

interface AppRequest {
  readonly originalUrl: string;
  readonly query: { readonly raw: keyof typeof RAW };
  raw: unknown;
}

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;

@Injectable()
class KeepsBody implements NestMiddleware {
  constructor(@InjectScopedConnection() private readonly connection: AsyncConnection) {}

  async use(request: AppRequest, _response: unknown, next: () => void): Promise<void> {
    request.raw = RAW[request.query.raw];
    await this.connection.execute(insert('middleware'));
    next();
  }
}

abstract class Routes {
  protected abstract readonly connection: AsyncConnection;

  @Get()
  async add(@Query('fails') fails?: string): Promise<string> {
    await this.connection.execute(insert('handler'));
    if (fails !== undefined) throw new Error('mine');
    return 'added';
  }
}

@Controller('provider')
class ProviderController extends Routes {
  constructor(protected readonly connection: AsyncConnection) {
    super();
  }
}

@Controller('singleton')
class SingletonController extends Routes {
  constructor(@InjectScopedConnection() protected readonly connection: AsyncConnection) {
    super();
  }
}

@Module({ controllers: [ProviderController, SingletonController] })
class RoutesModule {
  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(KeepsBody).forRoutes('{*all}');
  }
}

let database: TestDatabase;
let running: RunningApp;
const asked: unknown[] = [];
beforeAll(async () => {
  database = await createDatabase('wrapped');
  await database.query('CREATE TABLE items (name text)');
  const connection = (request: unknown) => {
    asked.push((request as AppRequest).originalUrl);
    return {};
  };
  const requestScope = { connection };
  running = await startApp({
    imports: [
      DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0, requestScope }),
      RoutesModule,
    ],
  });
});
beforeEach(() => database.query('TRUNCATE items'));
afterEach(() => expectIdle(running.get(AsyncEngine), database));
afterAll(async () => {
  await running.close();
  await database.drop();
});

describe.each(['provider', 'singleton'])(
  "a request whose 'raw' the application has set, with the %s",
  (path) => {
    it.each(Object.keys(RAW))('is one unit of work with its middleware: %s', async (raw) => {
      asked.length = 0;
      const response = await fetch(`${running.url}/${path}?raw=${raw}`);
      expect(await response.text()).toBe('added');
      expect(await storedNames(database)).toEqual(['handler', 'middleware']);
      expect(asked).toEqual([`/${path}?raw=${raw}`]);
    });
  },
);

it.each([{}, { raw: null }, null, 'text'])(
  "a request is one unit of work where a test has put %j in the place of Nest's REQUEST",
  async (request) => {
    const testing = await Test.createTestingModule({
      imports: [DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0 })],
      controllers: [ProviderController, SingletonController],
    })
      .overrideProvider(REQUEST)
      .useValue(request)
      .compile();
    const app = testing.createNestApplication({ logger: false });
    await app.listen(0, '127.0.0.1');
    for (const path of ['provider', 'singleton']) {
      expect((await fetch(`${await app.getUrl()}/${path}`)).status).toBe(200);
      expect((await fetch(`${await app.getUrl()}/${path}?fails`)).status).toBe(500);
    }
    expect(await storedNames(database)).toEqual(['handler', 'handler']);
    await expectIdle(app.get(AsyncEngine), database);
    await app.close();
  },
);
