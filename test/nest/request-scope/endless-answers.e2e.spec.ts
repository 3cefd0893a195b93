import { get } from 'node:http';
import { Controller, Get, Injectable, UseInterceptors } from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { NEVER, Observable, concat, defer, finalize, mergeAll, of } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AsyncEngine, AsyncConnection, DatabaseModule, InjectScopedConnection, sql } from 'nest-async-engine';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
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

describe.each(ADAPTERS)('On %s, a handler that has given a value and does not end', (name, createAdapter) => {
  let database: TestDatabase;
  let running: RunningApp;
  beforeAll(async () => {
    database = await createDatabase(`endless_answers_${name.toLowerCase()}`);
    await database.query('CREATE TABLE items (name text)');
  });
  beforeEach(async () => {
    const requestScope = { orphanTimeout: 20 };
    const imports = [DatabaseModule.forRoot({ url: database.url, requestScope })];
    running = await startApp({ imports, controllers: [Handlers], providers: [Journal] }, createAdapter());
  });
  afterEach(() => running.close());
  afterAll(() => database.drop());

  it.each(['finalize', 'endless'])(
    'is undone after orphanTimeout where its client has gone, and its connection goes back: %s',
    async (path) => {
      const request = get(`${running.url}/${path}`);
      request.on('error', () => undefined);
      await running.get(Journal).answered.opened;
      expect(running.get(AsyncEngine).pool.checkedOut()).toBe(1);
      request.destroy();
      await expectIdle(running.get(AsyncEngine), database);
      expect(await storedNames(database)).toEqual([]);
    },
  );
});
