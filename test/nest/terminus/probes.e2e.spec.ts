import { Controller, Get, Module, UseFilters } from '@nestjs/common';
import type { ModuleMetadata } from '@nestjs/common';
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus';
import type { HealthCheckResult } from '@nestjs/terminus';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { AsyncEngine, DatabaseExceptionFilter, DatabaseModule, InjectEngine, sql } from 'nest-async-engine';
import type { DatabaseModuleOptions } from 'nest-async-engine';
import { DatabaseHealthIndicator } from 'nest-async-engine/terminus';
import { startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { eventually } from '../../support/process/barrier.js';
import { startFaultyProxy } from '../../support/server/faulty-proxy.js';
import type { FaultyProxy } from '../../support/server/faulty-proxy.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

@Controller('health')
class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly database: DatabaseHealthIndicator,
  ) {}

  @Get('live')
  live(): string {
    return 'alive';
  }

  @Get('ready')
  @HealthCheck()
  ready(): Promise<HealthCheckResult> {
    return this.health.check([() => this.database.pingCheck('database', { engine: 'shop', timeout: 500 })]);
  }
}

@Controller('plain')
class ProbeController {
  constructor(private readonly engine: AsyncEngine) {}

  @Get('ready')
  @UseFilters(DatabaseExceptionFilter)
  async ready(): Promise<string> {
    await this.engine.ping({ timeout: 500 });
    return 'ready';
  }
}

/** How long Terminus answers that the application is about to end. */
const GRACE = 3_000;

@Module({
  imports: [TerminusModule.forRoot({ gracefulShutdownTimeoutMs: GRACE, logger: false })],
  controllers: [HealthController],
  providers: [DatabaseHealthIndicator],
})
class HealthModule {}

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('probes');
});
afterAll(() => database.drop());

async function start(options: DatabaseModuleOptions, metadata: ModuleMetadata): Promise<RunningApp> {
  const imports = [DatabaseModule.forRoot(options), ...(metadata.imports ?? [])];
  return await startApp({ ...metadata, imports });
}

async function status({ url }: RunningApp, path: string): Promise<number> {
  const response = await fetch(`${url}/${path}`);
  await response.arrayBuffer();
  return response.status;
}

describe('probes with Terminus', () => {
  it('find an application alive and not ready while it connects in the background', async () => {
    const proxy = await startFaultyProxy(database.url);
    proxy.stall();
    const options = { url: proxy.url, name: 'shop', connectOnStart: 'background' } as const;
    const running = await start(options, { imports: [HealthModule] });
    expect(await status(running, 'health/live')).toBe(200);
    const response = await fetch(`${running.url}/health/ready`);
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ details: { database: { status: 'down', onLoan: 0 } } });
    proxy.resume();
    await eventually(async () => expect(await status(running, 'health/ready')).toBe(200));
    await running.close();
    await proxy.close();
  });

  it('hear of a shutdown before its clock starts: work goes on until the grace is over', async () => {
    @Controller()
    class Work {
      constructor(@InjectEngine('shop') private readonly engine: AsyncEngine) {}

      @Get('work')
      async work(): Promise<unknown> {
        return await this.engine.scalar(sql`SELECT 'done'`);
      }
    }
    const running = await start(
      { url: database.url, name: 'shop', shutdownTimeout: 0 },
      { imports: [HealthModule], controllers: [Work] },
    );
    expect(await status(running, 'health/ready')).toBe(200);
    const closing = (running.app as unknown as { close(signal: string): Promise<void> }).close('SIGTERM');
    await eventually(async () => expect(await status(running, 'health/ready')).toBe(503));
    expect(await status(running, 'health/live')).toBe(200);
    const response = await fetch(`${running.url}/health/ready`);
    expect(await response.json()).toMatchObject({
      status: 'shutting_down',
      details: { database: { status: 'up' } },
    });
    expect(await (await fetch(`${running.url}/work`)).text()).toBe('done');
    await closing;
    await eventually(async () => expect(await database.sessions()).toEqual([]));
  });
});

describe('engine.ping() in a route with DatabaseExceptionFilter', () => {
  let proxy: FaultyProxy;
  let running: RunningApp;
  const startPlain = async (): Promise<void> => {
    proxy = await startFaultyProxy(database.url);
    running = await start(
      { url: proxy.url, poolSize: 1, maxOverflow: 0 },
      { controllers: [ProbeController] },
    );
    onTestFinished(async () => {
      await running.close();
      await proxy.close();
    });
  };

  it('is 200 while the database answers, and 503 when it is away', async () => {
    await startPlain();
    expect(await status(running, 'plain/ready')).toBe(200);
    await proxy.close();
    const response = await fetch(`${running.url}/plain/ready`);
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
    expect(running.get(AsyncEngine).pool.checkedOut()).toBe(0);
  });

  it('is 503 when the pool is full', async () => {
    await startPlain();
    const connection = await running.get(AsyncEngine).connect();
    expect(await status(running, 'plain/ready')).toBe(503);
    await connection.close();
    expect(await status(running, 'plain/ready')).toBe(200);
  });
});
