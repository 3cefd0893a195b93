import type { AddressInfo } from 'node:net';
import { get } from 'node:http';
import { Controller, Get, Injectable, UseInterceptors } from '@nestjs/common';
import type { CallHandler, ExecutionContext, INestApplication, NestInterceptor } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { NEVER, Observable, concat, defer, finalize, mergeAll, of } from 'rxjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AsyncEngine, AsyncConnection, DatabaseModule, InjectScopedConnection, sql } from 'nest-async-engine';
import { Latch } from '../../support/process/barrier.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

@Injectable()
class Journal {
  readonly answered = new Latch();
}

/** Its error comes when RxJS takes the source down, which is before it would hand on that the source is over. */
@Injectable()
class FailsAtTheEnd implements NestInterceptor {
  constructor(private readonly journal: Journal) {}

  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const failing = next.handle().pipe(
      finalize(() => {
        this.journal.answered.open();
        throw new Error('at the end');
      }),
    );
    return of(failing).pipe(mergeAll());
  }
}

@Controller()
class Handlers {
  constructor(
    @InjectScopedConnection() private readonly connection: AsyncConnection,
    private readonly journal: Journal,
  ) {}

  @Get('finalize')
  @UseInterceptors(FailsAtTheEnd)
  async store(): Promise<string> {
    await this.connection.execute(sql`INSERT INTO items VALUES ('finalize')`);
    return 'stored';
  }

  @Get('endless')
  endless(): Observable<unknown> {
    const write = async (): Promise<string> => {
      await this.connection.execute(sql`INSERT INTO items VALUES ('endless')`);
      setImmediate(() => this.journal.answered.open());
      return 'stored';
    };
    return concat(defer(write), NEVER);
  }
}

describe.each([
  { name: 'Express', adapter: () => new ExpressAdapter() },
  { name: 'Fastify', adapter: () => new FastifyAdapter() },
])('On $name, a handler that has given a value and does not end', ({ name, adapter }) => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createDatabase(`endless_answers_${name.toLowerCase()}`);
    await database.query('CREATE TABLE items (name text)');
  });
  afterAll(() => database.drop());

  it.each(['finalize', 'endless'])(
    'is undone after orphanTimeout where its client has gone, and its connection goes back: %s',
    async (path) => {
      const app = await start();
      try {
        const { port } = app.getHttpServer().address() as AddressInfo;
        const request = get({ host: '127.0.0.1', port, path: `/${path}` });
        request.on('error', () => undefined);
        await app.get(Journal).answered.opened;
        expect(app.get(AsyncEngine).pool.checkedOut()).toBe(1);
        request.destroy();
        await expectIdle(app.get(AsyncEngine), database);
        expect(await storedNames(database)).toEqual([]);
      } finally {
        await app.close();
      }
    },
  );

  async function start(): Promise<INestApplication> {
    const requestScope = { orphanTimeout: 20 };
    const testing = await Test.createTestingModule({
      imports: [DatabaseModule.forRoot({ url: database.url, requestScope })],
      controllers: [Handlers],
      providers: [Journal],
    }).compile();
    const app = testing.createNestApplication(adapter(), { logger: false });
    await app.listen(0, '127.0.0.1');
    return app;
  }
});
