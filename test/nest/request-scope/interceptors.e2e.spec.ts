import { ConflictException, Controller, Get, Module, Res, UseInterceptors } from '@nestjs/common';
import type { CallHandler, INestApplication, NestInterceptor } from '@nestjs/common';
import { APP_INTERCEPTOR, NestFactory } from '@nestjs/core';
import { map } from 'rxjs';
import type { Observable } from 'rxjs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AsyncConnection, AsyncEngine, DatabaseModule, sql } from 'nest-async-engine';
import { LogLines } from '../../support/doubles/log-lines.js';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

class Refuse implements NestInterceptor {
  intercept(_context: unknown, next: CallHandler): Observable<unknown> {
    const refuse = (): never => {
      throw new ConflictException();
    };
    return next.handle().pipe(map(refuse));
  }
}

@Controller()
class Plain {
  constructor(private readonly connection: AsyncConnection) {}

  @Get('add')
  async add(): Promise<string> {
    await this.connection.execute(sql`INSERT INTO items VALUES ('added')`);
    return 'added';
  }
}

@Controller()
@UseInterceptors(Refuse)
class Refusing extends Plain {
  constructor(connection: AsyncConnection) {
    super(connection);
  }
}

@Module({ providers: [{ provide: APP_INTERCEPTOR, useClass: Refuse }] })
class RefusingModule {}

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('interceptors');
  await database.query('CREATE TABLE items (name text)');
});
beforeEach(() => database.query('TRUNCATE items'));
afterAll(() => database.drop());

const databaseModule = (logger = new LogLines()) =>
  DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0, logger });

const provider = { provide: APP_INTERCEPTOR, useClass: Refuse };
const global = (app: INestApplication): unknown => app.useGlobalInterceptors(new Refuse());
const nothing = (): void => undefined;

/** Every way to register an interceptor. */
const WAYS = [
  [
    'APP_INTERCEPTOR of the root module',
    () => ({ imports: [databaseModule()], providers: [provider] }),
    Plain,
    nothing,
  ],
  [
    'APP_INTERCEPTOR imported before',
    () => ({ imports: [RefusingModule, databaseModule()] }),
    Plain,
    nothing,
  ],
  [
    'APP_INTERCEPTOR imported behind',
    () => ({ imports: [databaseModule(), RefusingModule] }),
    Plain,
    nothing,
  ],
  ['useGlobalInterceptors', () => ({ imports: [databaseModule()] }), Plain, global],
  ['@UseInterceptors', () => ({ imports: [databaseModule()] }), Refusing, nothing],
] as const;

describe.each(ADAPTERS)('an interceptor of the application on %s', (_adapter, createAdapter) => {
  it.each(WAYS)(
    'that fails after the handler undoes the request: %s',
    async (_way, metadataOf, controller, prepare) => {
      @Module({ ...metadataOf(), controllers: [controller] })
      class AppModule {}
      const app = await NestFactory.create(AppModule, createAdapter(), { logger: false });
      prepare(app);
      await app.listen(0, '127.0.0.1');
      expect((await fetch(`${await app.getUrl()}/add`)).status).toBe(409);
      expect(await storedNames(database)).toEqual([]);
      await expectIdle(app.get(AsyncEngine), database);
      await app.close();
    },
  );
});

interface PlainReply {
  end(text: string): void;
}

describe.each(ADAPTERS)('a handler on %s that answers by itself', (_adapter, createAdapter) => {
  it('before its COMMIT, which fails, is reported by its route', async () => {
    @Controller()
    class Orders {
      constructor(private readonly connection: AsyncConnection) {}

      @Get('order')
      async order(@Res() response: PlainReply & { raw?: PlainReply }): Promise<void> {
        await this.connection.execute(sql`INSERT INTO deferred VALUES (1), (1)`);
        (response.raw ?? response).end('accepted');
      }
    }
    await database.query('CREATE TABLE deferred (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)');
    const logger = new LogLines();
    const running = await startApp(
      { imports: [databaseModule(logger)], controllers: [Orders] },
      createAdapter(),
    );
    expect(await (await fetch(`${running.url}/order`)).text()).toBe('accepted');
    await expectIdle(running.get(AsyncEngine), database);
    const [line] = logger.lines.filter(({ level }) => level === 'error');
    expect(line?.message).toMatch(/^GET \/order answered before its COMMIT, which failed.*passthrough/);
    await running.close();
    await database.query('DROP TABLE deferred');
  });
});
