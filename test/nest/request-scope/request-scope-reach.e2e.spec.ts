import { Controller, Get, Injectable, Module, Req, UseGuards } from '@nestjs/common';
import type { CanActivate, MiddlewareConsumer, NestModule } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AsyncEngine, DatabaseModule, ScopeEndedError, sql } from 'nest-async-engine';
import { Latch, eventually } from '../../support/process/barrier.js';
import { ADAPTERS } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

/** Which scope each part of a request was in, and what it left behind. */
@Injectable()
class Traces {
  readonly origins: (string | undefined)[] = [];
  mayGoOn = new Latch<void>();
  late: Promise<unknown> | undefined;

  constructor(private readonly engine: AsyncEngine) {}

  note(): void {
    this.origins.push(this.engine.currentScope()?.origin);
  }
}

@Injectable()
class Noting implements CanActivate {
  constructor(private readonly traces: Traces) {}

  canActivate(): boolean {
    this.traces.note();
    return true;
  }
}

@Controller()
@UseGuards(Noting)
class Routes {
  constructor(
    private readonly engine: AsyncEngine,
    private readonly traces: Traces,
  ) {}

  @Get(['inside', 'outside'])
  note(): string {
    this.traces.note();
    return 'noted';
  }

  @Get(['late', 'late-unit'])
  async late(@Req() request: { url: string }): Promise<string> {
    if (request.url.endsWith('unit')) this.engine.currentConnection();
    await this.engine.execute(sql`INSERT INTO items VALUES ('in time')`);
    const write = () => this.engine.execute(sql`INSERT INTO items VALUES ('late')`);
    this.traces.late = this.traces.mayGoOn.opened.then(write).catch((error: unknown) => error);
    const scope = this.engine.currentScope();
    void eventually(() => expect(scope?.isOpen).toBe(false)).then(() => this.traces.mayGoOn.open());
    return 'answered';
  }
}

@Module({ controllers: [Routes], providers: [Traces, Noting] })
class AppModule implements NestModule {
  constructor(private readonly traces: Traces) {}

  configure(consumer: MiddlewareConsumer): void {
    const note = (_request: unknown, _response: unknown, next: () => void): void => {
      this.traces.note();
      next();
    };
    consumer.apply(note).forRoutes(Routes);
  }
}

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('scope_reach');
  await database.query('CREATE TABLE items (name text)');
});
beforeEach(() => database.query('TRUNCATE items'));
afterAll(() => database.drop());

describe.each(ADAPTERS)('the scope of a request on %s', (_adapter, createAdapter) => {
  let running: Pick<RunningApp, 'url' | 'close'>;
  let engine: AsyncEngine;
  let traces: Traces;

  beforeAll(async () => {
    const imports = [DatabaseModule.forRoot({ url: database.url }), AppModule];
    const testing = await Test.createTestingModule({ imports }).compile();
    const app = testing.createNestApplication(createAdapter(), { logger: false });
    app.setGlobalPrefix('api', { exclude: ['outside'] });
    await app.listen(0, '127.0.0.1');
    const { port } = app.getHttpServer().address() as { port: number };
    running = { url: `http://127.0.0.1:${port}`, close: () => app.close() };
    engine = app.get(AsyncEngine, { strict: false });
    traces = app.get(Traces, { strict: false });
  });
  beforeEach(() => {
    traces.origins.length = 0;
    traces.mayGoOn = new Latch();
  });
  afterAll(() => running.close());

  it.each(['/api/inside', '/outside'])('covers middlewares, guards and handler of %s', async (path) => {
    expect(await (await fetch(`${running.url}${path}?secret=1`)).text()).toBe('noted');
    expect(traces.origins).toEqual([`GET ${path}`, `GET ${path}`, `GET ${path}`]);
  });

  it('lets what comes after its end commit itself where its connection was not asked for', async () => {
    expect(await (await fetch(`${running.url}/api/late`)).text()).toBe('answered');
    await traces.mayGoOn.opened;
    await traces.late;
    expect(await storedNames(database)).toEqual(['in time', 'late']);
    await expectIdle(engine, database);
  });

  it('refuses what comes after its end where it was one unit of work', async () => {
    expect(await (await fetch(`${running.url}/api/late-unit`)).text()).toBe('answered');
    await traces.mayGoOn.opened;
    const failure = await traces.late;
    expect(failure).toBeInstanceOf(ScopeEndedError);
    expect(String(failure)).toContain('the scope of GET /api/late-unit has already ended');
    expect(await storedNames(database)).toEqual(['in time']);
    await expectIdle(engine, database);
  });
});
