import { Controller, Get, Injectable, Module, UseInterceptors } from '@nestjs/common';
import type { CallHandler, INestApplication, NestInterceptor } from '@nestjs/common';
import { APP_INTERCEPTOR, NestFactory } from '@nestjs/core';
import { concatMap, lastValueFrom, merge, of, retry, toArray } from 'rxjs';
import type { Observable } from 'rxjs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  AsyncConnection,
  AsyncEngine,
  DatabaseModule,
  InjectConnection,
  Transactional,
  sql,
} from 'nest-async-engine';
import { Latch } from '../../support/process/barrier.js';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

@Injectable()
class Retrying implements NestInterceptor {
  intercept(_context: unknown, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(retry(1));
  }
}

let run = 0;
const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;

@Controller()
class Plain {
  constructor(
    readonly connection: AsyncConnection,
    readonly engine: AsyncEngine,
  ) {}

  @Get('connection')
  async add(): Promise<string> {
    run += 1;
    await this.connection.execute(insert(`connection ${run}`));
    await this.engine.execute(insert(`engine ${run}`));
    if (run === 1) throw new Error('on purpose');
    return 'added';
  }

  @Get('transactional')
  @Transactional()
  async addTransactional(): Promise<string> {
    return await this.add();
  }
}

@Controller()
class OnMethod extends Plain {
  constructor(connection: AsyncConnection, engine: AsyncEngine) {
    super(connection, engine);
  }

  @Get('connection')
  @UseInterceptors(Retrying)
  override async add(): Promise<string> {
    return await super.add();
  }

  @Get('transactional')
  @UseInterceptors(Retrying)
  @Transactional()
  override async addTransactional(): Promise<string> {
    return await super.add();
  }
}

@Controller()
@UseInterceptors(Retrying)
class OnClass extends Plain {
  constructor(connection: AsyncConnection, engine: AsyncEngine) {
    super(connection, engine);
  }
}

let database: TestDatabase;
let archive: TestDatabase;
beforeAll(async () => {
  [database, archive] = [await createDatabase('repeated'), await createDatabase('repeated_archive')];
  for (const each of [database, archive]) await each.query('CREATE TABLE items (name text)');
});
beforeEach(async () => {
  run = 0;
  for (const each of [database, archive]) await each.query('TRUNCATE items');
});
afterAll(async () => {
  await database.drop();
  await archive.drop();
});

const databaseModule = () => DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0 });
const provider = { provide: APP_INTERCEPTOR, useClass: Retrying };
const nothing = (): void => undefined;

/** Every way to register an interceptor. */
const WAYS = [
  ['APP_INTERCEPTOR', Plain, [provider], nothing],
  [
    'useGlobalInterceptors',
    Plain,
    [],
    (app: INestApplication): unknown => app.useGlobalInterceptors(new Retrying()),
  ],
  ['@UseInterceptors on the class', OnClass, [], nothing],
  ['@UseInterceptors on the method', OnMethod, [], nothing],
] as const;

describe.each(ADAPTERS)('a handler on %s that an interceptor runs again', (_adapter, createAdapter) => {
  it.each(WAYS.flatMap((way) => ['connection', 'transactional'].map((path) => [path, ...way] as const)))(
    'stores what its successful run wrote: %s, %s',
    async (path, _way, controller, providers, prepare) => {
      @Module({ imports: [databaseModule()], controllers: [controller], providers: [...providers] })
      class AppModule {}
      const app = await NestFactory.create(AppModule, createAdapter(), { logger: false });
      prepare(app);
      await app.listen(0, '127.0.0.1');
      const response = await fetch(`${await app.getUrl()}/${path}`);
      expect(await response.text()).toBe('added');
      expect(await storedNames(database)).toEqual(['connection 2', 'engine 2']);
      await expectIdle(app.get(AsyncEngine), database);
      await app.close();
    },
  );
});

/** The answer to `GET /` of an application with a second database, and what it has stored. */
async function answerOf(controller: new (...args: never[]) => object): Promise<[string, string[], string[]]> {
  const running = await startApp({
    imports: [databaseModule(), DatabaseModule.forRoot({ name: 'archive', url: archive.url })],
    controllers: [controller],
  });
  running.app.useLogger(['error']);
  const text = await (await fetch(running.url)).text();
  await expectIdle(running.get(AsyncEngine), database);
  const stored = [await storedNames(database), await storedNames(archive)] as const;
  await running.close();
  return [text, ...stored];
}

describe('a handler that an interceptor runs again', () => {
  it('stores only its successful run in each of two databases', async () => {
    @Controller()
    @UseInterceptors(Retrying)
    class Two {
      constructor(
        private readonly connection: AsyncConnection,
        @InjectConnection('archive') private readonly archived: AsyncConnection,
      ) {}

      @Get()
      async add(): Promise<string> {
        run += 1;
        await this.connection.execute(insert(`run ${run}`));
        await this.archived.execute(insert(`archived ${run}`));
        if (run === 1) throw new Error('on purpose');
        return 'added';
      }
    }
    expect(await answerOf(Two)).toEqual(['added', ['run 2'], ['archived 2']]);
  });

  it('stores its last run where an interceptor refuses what the first one answered', async () => {
    class Checking implements NestInterceptor {
      intercept(_context: unknown, next: CallHandler): Observable<unknown> {
        const check = concatMap(async (value: unknown) => {
          await Promise.resolve();
          if (run === 1) throw new Error('refused');
          return value;
        });
        return next.handle().pipe(check, retry(1));
      }
    }
    @Controller()
    @UseInterceptors(Checking)
    class Checked {
      constructor(private readonly connection: AsyncConnection) {}

      @Get()
      async add(): Promise<string> {
        run += 1;
        await this.connection.execute(insert(`run ${run}`));
        return `run ${run}`;
      }
    }
    expect(await answerOf(Checked)).toEqual(['run 2', ['run 2'], []]);
  });

  it('refuses what its failed run left running, and keeps what the interceptor around writes', async () => {
    const second = new Latch();
    const late = new Latch<unknown>();
    @Injectable()
    class Auditing implements NestInterceptor {
      constructor(private readonly connection: AsyncConnection) {}

      async intercept(_context: unknown, next: CallHandler): Promise<Observable<unknown>> {
        await this.connection.execute(insert('lost with the first run'));
        const value = await lastValueFrom(next.handle().pipe(retry(1)));
        await this.connection.execute(insert('audit'));
        return of(value);
      }
    }
    @Controller()
    @UseInterceptors(Auditing)
    class Leaving {
      constructor(private readonly connection: AsyncConnection) {}

      @Get()
      async add(): Promise<string> {
        run += 1;
        if (run === 1) {
          second.opened
            .then(() => this.connection.execute(insert('late')))
            .catch((error: unknown) => late.open(error));
          await this.connection.execute(insert('run 1'));
          throw new Error('on purpose');
        }
        second.open();
        expect(await late.opened).toMatchObject({ code: 'TRANSACTION_ENDED' });
        await this.connection.execute(insert('run 2'));
        return 'added';
      }
    }
    expect(await answerOf(Leaving)).toEqual(['added', ['audit', 'run 2'], []]);
  });

  it('keeps both runs in one unit where they run at the same time', async () => {
    class Twice implements NestInterceptor {
      intercept(_context: unknown, next: CallHandler): Observable<unknown> {
        return merge(next.handle(), next.handle()).pipe(toArray());
      }
    }
    @Controller()
    @UseInterceptors(Twice)
    class Parallel {
      constructor(private readonly connection: AsyncConnection) {}

      @Get()
      async add(): Promise<string> {
        run += 1;
        await this.connection.execute(insert(`run ${run}`));
        return 'added';
      }
    }
    expect(await answerOf(Parallel)).toEqual(['["added","added"]', ['run 1', 'run 2'], []]);
  });

  it('undoes a transaction of the interceptor alone where it has one around each run', async () => {
    @Injectable()
    class InTransaction implements NestInterceptor {
      constructor(
        private readonly engine: AsyncEngine,
        private readonly connection: AsyncConnection,
      ) {}

      async intercept(_context: unknown, next: CallHandler): Promise<Observable<unknown>> {
        await this.connection.execute(insert('before'));
        const once = () =>
          this.engine.transaction(() => lastValueFrom(next.handle()), { propagation: 'nested' });
        const value = await once().catch(once);
        return of(value);
      }
    }
    @Controller()
    @UseInterceptors(InTransaction)
    class Nested {
      constructor(private readonly engine: AsyncEngine) {}

      @Get()
      async add(): Promise<string> {
        run += 1;
        await this.engine.execute(insert(`run ${run}`));
        if (run === 1) throw new Error('on purpose');
        return 'added';
      }
    }
    expect(await answerOf(Nested)).toEqual(['added', ['before', 'run 2'], []]);
  });
});
