import { Controller, Get } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  AsyncEngine,
  DatabaseExceptionFilter,
  DatabaseModule,
  createAsyncEngine,
  sql,
} from 'nest-async-engine';
import { startEmbeddedPostgres } from 'nest-async-engine/testing';
import type { EmbeddedPostgres } from 'nest-async-engine/testing';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';

@Controller()
class Reading {
  constructor(private readonly engine: AsyncEngine) {}

  @Get('engine')
  async byEngine(): Promise<unknown> {
    return await this.engine.scalar(sql`SELECT 1`);
  }

  @Get('transaction')
  async inTransaction(): Promise<unknown> {
    return await this.engine.transaction(() => this.byEngine());
  }

  @Get('connection')
  async byConnection(): Promise<unknown> {
    return await this.engine.currentConnection().scalar(sql`SELECT 1`);
  }
}

const PATHS = ['engine', 'transaction', 'connection'];
let server: EmbeddedPostgres;
let apps: RunningApp[];

beforeAll(async () => {
  server = await startEmbeddedPostgres({
    settings: {
      max_connections: '2',
      superuser_reserved_connections: '0',
      reserved_connections: '0',
      max_wal_senders: '0',
    },
  });
  apps = await Promise.all(
    ADAPTERS.map(([, createAdapter]) =>
      startApp(
        {
          imports: [DatabaseModule.forRoot({ url: server.url, connectOnStart: 'lazy', poolTimeout: 500 })],
          controllers: [Reading],
        },
        createAdapter(),
        (app) => app.useGlobalFilters(new DatabaseExceptionFilter()),
      ),
    ),
  );
});
afterAll(async () => {
  for (const app of apps) await app.close();
  await server.stop();
});

/** Status, Retry-After and body of each path on each adapter. */
async function answers(): Promise<unknown[]> {
  const found: unknown[] = [];
  for (const { url } of apps) {
    for (const path of PATHS) {
      const response = await fetch(`${url}/${path}`);
      found.push([response.status, response.headers.get('retry-after'), await response.text()]);
    }
  }
  return found;
}

const BODY = /^\{"statusCode":503,"message":"Service Unavailable","code":"\w+"\}$/;
const ALL_UNAVAILABLE = Array.from({ length: ADAPTERS.length * PATHS.length }, () => [
  503,
  '1',
  expect.stringMatching(BODY),
]);

describe('a server', () => {
  it('that is full answers 503 and when to come back, and serves again when it has room', async () => {
    const others = createAsyncEngine(server.url, { poolSize: 2, maxOverflow: 0 });
    const taken = [await others.connect(), await others.connect()];
    for (const connection of taken) await connection.scalar(sql`SELECT 1`);
    expect(await answers()).toEqual(ALL_UNAVAILABLE);
    for (const connection of taken) await connection.close();
    await others.aclose();
    const running = apps[0] as RunningApp;
    expect(await (await fetch(`${running.url}/engine`)).text()).toBe('1');
    expect(running.get(AsyncEngine).pool.checkedOut()).toBe(0);
  });

  it('that was stopped answers 503 and when to come back', async () => {
    await server.stop();
    expect(await answers()).toEqual(ALL_UNAVAILABLE);
    for (const app of apps) expect(app.get(AsyncEngine).pool.checkedOut()).toBe(0);
  });
});
