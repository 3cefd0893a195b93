import {
  Catch,
  ConflictException,
  Controller,
  Get,
  Injectable,
  Module,
  Scope,
  UseFilters,
} from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { Interval, ScheduleModule } from '@nestjs/schedule';
import { Test } from '@nestjs/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  AsyncConnection,
  AsyncEngine,
  DatabaseModule,
  InjectScopedConnection,
  NoActiveScopeError,
  Transactional,
  getEngineToken,
  getScopedConnectionToken,
  sql,
} from 'nest-async-engine';
import { Latch } from '../../support/process/barrier.js';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;

@Injectable()
class Journal {
  constructor(private readonly engine: AsyncEngine) {}

  async write(name: string): Promise<void> {
    await this.engine.execute(insert(name));
  }

  @Transactional()
  async writeNested(name: string): Promise<void> {
    await this.engine.execute(insert(name));
  }
}

let services = 0;

@Injectable()
class Items {
  constructor(@InjectScopedConnection() readonly connection: AsyncConnection) {
    services += 1;
  }

  async add(name: string): Promise<void> {
    await this.connection.execute(insert(name));
  }

  async transactionId(): Promise<string> {
    return await this.connection
      .execute<{ id: string }>(sql`SELECT pg_current_xact_id()::text AS id`)
      .scalarOne();
  }
}

@Catch(ConflictException)
class Audit implements ExceptionFilter {
  constructor(private readonly journal: Journal) {}

  catch(_error: unknown, host: ArgumentsHost): void {
    const response = host
      .switchToHttp()
      .getResponse<{ status(code: number): { send(body: string): void } }>();
    void this.journal.write('audit').then(() => response.status(409).send('refused'));
  }
}

@Controller()
@UseFilters(Audit)
class Routes {
  constructor(
    private readonly items: Items,
    private readonly journal: Journal,
  ) {}

  @Get('store')
  async store(): Promise<string> {
    await this.journal.write('by the engine');
    await this.items.add('by the connection');
    await this.journal.writeNested('nested');
    return 'stored';
  }

  @Get('fail')
  async fail(): Promise<string> {
    await this.journal.write('by the engine');
    await this.items.add('by the connection');
    throw new ConflictException();
  }

  @Get('id')
  async id(): Promise<string> {
    const first = await this.items.transactionId();
    return first === (await this.items.transactionId()) ? first : 'two transactions';
  }
}

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('scoped_connection');
  await database.query('CREATE TABLE items (name text)');
});
beforeEach(() => database.query('TRUNCATE items'));
afterAll(() => database.drop());

describe.each(ADAPTERS)('@InjectScopedConnection() on %s', (_adapter, createAdapter) => {
  let running: RunningApp;
  beforeAll(async () => {
    services = 0;
    running = await startApp(
      {
        imports: [DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0 })],
        controllers: [Routes],
        providers: [Items, Journal],
      },
      createAdapter(),
    );
  });
  afterAll(() => running.close());

  const ask = async (path: string): Promise<string> => await (await fetch(`${running.url}/${path}`)).text();

  it('makes a request one transaction from its start, and no class anew for it', async () => {
    expect(await ask('store')).toBe('stored');
    expect(await ask('store')).toBe('stored');
    expect(await storedNames(database)).toHaveLength(6);
    expect(services).toBe(1);
    await expectIdle(running.get(AsyncEngine), database);
  });

  it('undoes what a failed request wrote by the connection and by the engine, before its filter writes', async () => {
    expect(await ask('fail')).toBe('refused');
    expect(await storedNames(database)).toEqual(['audit']);
    await expectIdle(running.get(AsyncEngine), database);
  });

  it('gives each of many requests at the same time a transaction of its own', async () => {
    const ids = await Promise.all(Array.from({ length: 8 }, () => ask('id')));
    expect(new Set(ids).size).toBe(8);
    expect(ids).not.toContain('two transactions');
    await expectIdle(running.get(AsyncEngine), database);
  });

  it('works in engine.scope() and is refused outside of every scope', async () => {
    const items = running.get(Items);
    await running.get(AsyncEngine).scope(() => items.add('job'));
    expect(await storedNames(database)).toEqual(['job']);
    await expect(items.add('lost')).rejects.toBeInstanceOf(NoActiveScopeError);
  });
});

describe('@InjectScopedConnection()', () => {
  it('of a repository is in the transaction of a service, also where the controller reaches neither', async () => {
    @Injectable()
    class Orders {
      constructor(
        private readonly items: Items,
        private readonly journal: Journal,
      ) {}

      @Transactional()
      async place(isGood: boolean): Promise<void> {
        await this.items.add('by the repository');
        await this.journal.write('by the engine');
        if (!isGood) throw new ConflictException();
      }
    }
    @Controller()
    class Entrance {
      constructor(private readonly modules: ModuleRef) {}

      @Get('good')
      good(): Promise<void> {
        return this.modules.get(Orders).place(true);
      }

      @Get('caught')
      caught(): Promise<void> {
        return this.modules
          .get(Orders)
          .place(false)
          .catch(() => undefined);
      }
    }
    const running = await startApp({
      imports: [DatabaseModule.forRoot({ url: database.url, poolSize: 2 })],
      controllers: [Entrance],
      providers: [Items, Journal, Orders],
    });
    const both = ['by the engine', 'by the repository'];
    expect((await fetch(`${running.url}/caught`)).status).toBe(200);
    expect(await storedNames(database)).toEqual([]);
    expect((await fetch(`${running.url}/good`)).status).toBe(200);
    expect((await storedNames(database)).toSorted()).toEqual(both);
    await running.get(Orders).place(true); // a job without a scope
    expect(await storedNames(database)).toHaveLength(4);
    await expectIdle(running.get(AsyncEngine), database);
    await running.close();
  });

  it('is one handle for each database, which a test replaces by its token', async () => {
    @Injectable()
    class Reports {
      constructor(
        @InjectScopedConnection('reports') readonly reports: AsyncConnection,
        @InjectScopedConnection() readonly main: AsyncConnection,
      ) {}
    }
    const double = { name: 'double' };
    const imports = [undefined, 'reports'].map((name) => DatabaseModule.forRoot({ url: database.url, name }));
    const testing = await Test.createTestingModule({ imports, providers: [Reports] })
      .overrideProvider(getScopedConnectionToken())
      .useValue(double)
      .compile();
    const { reports, main } = testing.get(Reports);
    expect(main).toBe(double);
    const engine = testing.get<AsyncEngine>(getEngineToken('reports'));
    await engine.scope(async () => void (await reports.execute(insert('reports'))));
    expect(await storedNames(database)).toEqual(['reports']);
    await testing.close();
  });

  it('may be held by a scheduled job, each run of which is a unit of its own in engine.scope()', async () => {
    const runs = { count: 0, second: new Latch() };
    @Injectable()
    class Job {
      constructor(
        private readonly engine: AsyncEngine,
        @InjectScopedConnection() private readonly connection: AsyncConnection,
      ) {}

      @Interval(5)
      async run(): Promise<void> {
        const run = (runs.count += 1);
        if (run > 2) return;
        const work = this.engine.scope(async () => {
          await this.connection.execute(insert(`run ${run}`));
          if (run === 1) throw new Error('on purpose');
        });
        await work.catch(() => undefined);
        if (run === 2) runs.second.open();
      }
    }
    const running = await startApp({
      imports: [ScheduleModule.forRoot(), DatabaseModule.forRoot({ url: database.url })],
      providers: [Job],
    });
    await runs.second.opened;
    expect(await storedNames(database)).toEqual(['run 2']);
    await expectIdle(running.get(AsyncEngine), database);
    await running.close();
  });

  it('may be held by a durable provider, which is made once for a tenant', async () => {
    @Injectable({ scope: Scope.REQUEST, durable: true })
    class TenantItems {
      constructor(@InjectScopedConnection() readonly connection: AsyncConnection) {}
    }
    @Controller()
    class Entrance {
      constructor(private readonly items: TenantItems) {}

      @Get()
      async add(): Promise<void> {
        await this.items.connection.execute(insert('tenant'));
      }
    }
    @Module({
      imports: [DatabaseModule.forRoot({ url: database.url })],
      controllers: [Entrance],
      providers: [TenantItems],
    })
    class AppModule {}
    const running = await startApp({ imports: [AppModule] });
    expect((await fetch(running.url)).status).toBe(200);
    expect(await storedNames(database)).toEqual(['tenant']);
    await running.close();
  });
});
