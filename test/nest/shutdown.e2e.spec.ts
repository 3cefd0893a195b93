import { Agent, get } from 'node:http';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Controller, Get, Global, Injectable, Module } from '@nestjs/common';
import type { OnApplicationShutdown, StreamableFile } from '@nestjs/common';
import { LazyModuleLoader, NestFactory } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import {
  AsyncConnection,
  AsyncEngine,
  DatabaseModule,
  ResourceClosedError,
  getEngineToken,
  sql,
  streamRows,
} from 'nest-async-engine';
import { LogLines } from '../support/doubles/log-lines.js';
import { Latch, eventually } from '../support/process/barrier.js';
import { without } from '../support/nest/nest-version.js';
import { ADAPTERS, startApp } from '../support/nest/nest-app.js';
import { openRequest } from '../support/nest/http.js';
import { storedNames } from '../support/process/outcome.js';
import { createDatabase } from '../support/server/postgres.js';
import type { TestDatabase } from '../support/server/postgres.js';

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase('shutdown');
  await database.query('CREATE TABLE items (name text)');
});
afterAll(() => database.drop());

describe.each(ADAPTERS)('a shutdown with forceCloseConnections on %s', (adapterName, createAdapter) => {
  it('does not wait for sockets that are kept alive, lets handlers end and leaves no session', async ({
    skip,
  }) => {
    if (adapterName === 'Fastify') skip(...without('forceCloseConnections on Fastify'));
    await database.query('TRUNCATE items');
    const entered = new Latch();
    const mayGoOn = new Latch();
    const ended = new Latch();

    @Controller()
    class Routes {
      constructor(private readonly connection: AsyncConnection) {}

      @Get('quick')
      async quick(): Promise<string> {
        await this.connection.execute(sql`INSERT INTO items VALUES ('quick')`);
        return 'done';
      }

      @Get('slow')
      async slow(): Promise<void> {
        await this.connection.execute(sql`INSERT INTO items VALUES ('slow')`);
        entered.open();
        await mayGoOn.opened;
        await this.connection.execute(sql`INSERT INTO items VALUES ('slow end')`);
        ended.open();
      }
    }
    @Module({ imports: [DatabaseModule.forRoot({ url: database.url })], controllers: [Routes] })
    class AppModule {}

    const app = await NestFactory.create(AppModule, createAdapter(), {
      forceCloseConnections: true,
      logger: false,
    });
    await app.listen(0, '127.0.0.1');
    const url = await app.getUrl();
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    onTestFinished(() => agent.destroy());
    const ask = async (path: string): Promise<void> => {
      const [response] = (await once(get(`${url}/${path}`, { agent }), 'response')) as [IncomingMessage];
      response.resume();
      await once(response, 'end');
    };
    await Promise.all(Array.from({ length: 4 }, () => ask('quick')));
    const cut = ask('slow').catch((error: unknown) => error);
    await entered.opened;

    const begun = performance.now();
    const closing = app.close();
    // The server is gone with the sockets; the handler still has its connection.
    await cut;
    mayGoOn.open();
    await ended.opened;
    await closing;
    expect(performance.now() - begun).toBeLessThan(5_000);
    expect(await storedNames(database)).toEqual([...Array<string>(4).fill('quick'), 'slow', 'slow end']);
    // The server hears of the goodbye in its own time.
    await eventually(async () => expect(await database.sessions()).toEqual([]));
  });
});

describe.each(ADAPTERS)('the time of a shutdown on %s', (_adapter, createAdapter) => {
  it('runs while the HTTP server waits for a handler that hangs in the database', async () => {
    const entered = new Latch();
    @Controller()
    class Reports {
      constructor(private readonly engine: AsyncEngine) {}

      @Get('slow')
      async slow(): Promise<void> {
        entered.open();
        await this.engine.execute(sql`SELECT pg_sleep(60)`);
      }
    }
    const running = await startApp(
      {
        imports: [
          DatabaseModule.forRoot({ url: database.url, shutdownTimeout: 100, logger: new LogLines() }),
        ],
        controllers: [Reports],
      },
      createAdapter(),
    );
    const request = openRequest(`${running.url}/slow`);
    await entered.opened;
    await eventually(async () => {
      const states = (await database.sessions()).map(({ state }) => state);
      expect(states).toContain('active');
    });
    const closing = running.close();
    expect((await request.response).statusCode).toBe(500);
    request.hangUp();
    await closing;
    await eventually(async () => expect(await database.sessions()).toEqual([]));
  });
});

describe.each(ADAPTERS)('a download on %s whose client does not read', (_adapter, createAdapter) => {
  it('is cut when the time of the shutdown is over, so that the server can close', async () => {
    @Controller()
    class Downloads {
      constructor(private readonly engine: AsyncEngine) {}

      @Get()
      rows(): StreamableFile {
        const rows = this.engine.stream(sql`SELECT repeat('x', 1000) FROM generate_series(1, 100000)`);
        return streamRows(rows, { format: 'ndjson' });
      }
    }
    const logger = new LogLines();
    const running = await startApp(
      {
        imports: [DatabaseModule.forRoot({ url: database.url, shutdownTimeout: 100, logger })],
        controllers: [Downloads],
      },
      createAdapter(),
    );
    const response = await openRequest(running.url).response;
    const cut = once(response, 'error');
    await running.close();
    response.resume();
    expect(await cut).toEqual([expect.objectContaining({ code: 'ECONNRESET' })]);
    expect(logger.lines.map(({ message }) => message)).toContain(
      'the time of the shutdown is over: ended 1 session(s) that were in use. Still open: GET /.',
    );
    await eventually(async () => expect(await database.sessions()).toEqual([]));
  });
});

describe('a shutdown whose time is over', () => {
  it('ends all that runs on all databases, and refuses what comes later', async () => {
    const options = { url: database.url, shutdownTimeout: 50, logger: new LogLines() };
    const running = await startApp({
      imports: [DatabaseModule.forRoot(options), DatabaseModule.forRoot({ ...options, name: 'second' })],
    });
    const engines = [running.get(AsyncEngine), running.get<AsyncEngine>(getEngineToken('second') as string)];
    const jobs = engines.flatMap((engine) =>
      Array.from({ length: 8 }, () =>
        engine.execute(sql`SELECT pg_sleep(60)`).then(
          () => 'done',
          () => 'cancelled',
        ),
      ),
    );
    await eventually(async () => expect(await database.sessions()).toHaveLength(16));
    await running.close();
    expect(new Set(await Promise.all(jobs))).toEqual(new Set(['cancelled']));
    await eventually(async () => expect(await database.sessions()).toEqual([]));
    for (const engine of engines) {
      await expect(engine.execute(sql`SELECT 1`)).rejects.toBeInstanceOf(ResourceClosedError);
    }
  });

  it('goes on with its next step where one fails', async () => {
    const logger = new LogLines();
    const running = await startApp({ imports: [DatabaseModule.forRoot({ url: database.url, logger })] });
    const engine = running.get(AsyncEngine);
    engine.drain = () => Promise.reject(new Error('the drain failed'));
    await running.close();
    expect(logger.lines.map(({ message }) => message)).toEqual([expect.stringContaining('the drain failed')]);
    await expect(engine.execute(sql`SELECT 1`)).rejects.toBeInstanceOf(ResourceClosedError);
  });
});

describe('a shutdown', () => {
  @Injectable()
  class Worker implements OnApplicationShutdown {
    constructor(private readonly engine: AsyncEngine) {}

    async onApplicationShutdown(): Promise<void> {
      await new Promise((resolve) => setImmediate(resolve));
      await this.engine.execute(sql`INSERT INTO items VALUES ('last')`);
    }
  }
  @Module({ providers: [Worker] })
  class Workers {}
  @Global()
  @Module({ providers: [Worker] })
  class GlobalWorkers {}

  it.each<[string, typeof Workers, 'in front of' | 'behind']>([
    ['a module', Workers, 'in front of'],
    ['a module', Workers, 'behind'],
    ['a global module', GlobalWorkers, 'in front of'],
    ['a global module', GlobalWorkers, 'behind'],
  ])('lets %s end with its database that is imported %s it', async (_what, workers, place) => {
    await database.query('TRUNCATE items');
    const own = DatabaseModule.forRoot({ url: database.url });
    const imports = place === 'behind' ? [own, workers] : [workers, own];
    const testing = await Test.createTestingModule({ imports }).compile();
    await testing.init();
    await testing.close();
    expect(await storedNames(database)).toEqual(['last']);
    await eventually(async () => expect(await database.sessions()).toEqual([]));
  });

  it('closes a database that was loaded lazily', async () => {
    const testing = await Test.createTestingModule({}).compile();
    await testing.init();
    const lazy = await testing
      .get(LazyModuleLoader)
      .load(() => DatabaseModule.forRoot({ url: database.url }) as never);
    const engine = lazy.get(AsyncEngine, { strict: false });
    await engine.execute(sql`SELECT 1`);
    await testing.close();
    await expect(engine.execute(sql`SELECT 1`)).rejects.toBeInstanceOf(ResourceClosedError);
    await eventually(async () => expect(await database.sessions()).toEqual([]));
  });
});
