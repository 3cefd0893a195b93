import 'reflect-metadata';
import { Controller, Get, type Type } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus';
import type { HealthCheckResult, HealthIndicatorService } from '@nestjs/terminus';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AsyncEngine, DatabaseModule, text } from 'nest-async-engine';
import { DatabaseHealthIndicator } from 'nest-async-engine/terminus';
import { freePort } from '../../../lib/embedded/free-port.js';
import { eventually } from '../../support/process/barrier.js';
import { startFaultyProxy } from '../../support/server/faulty-proxy.js';
import type { FaultyProxy } from '../../support/server/faulty-proxy.js';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { isNest11 } from '../../support/nest/nest-version.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

@Controller()
class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly database: DatabaseHealthIndicator,
  ) {}

  @Get('health')
  @HealthCheck()
  check(): Promise<HealthCheckResult> {
    return this.health.check([() => this.database.pingCheck('database', { timeout: 100 })]);
  }
}

const DEGRADED = isNest11 ? { status: 'up', degraded: true } : { status: 'degraded' };

describe.each(ADAPTERS)('DatabaseHealthIndicator on %s', (_name, adapter) => {
  let database: TestDatabase;
  let proxy: FaultyProxy;
  let running: RunningApp;
  let engine: AsyncEngine;

  beforeEach(async () => {
    database = await createDatabase('health');
    proxy = await startFaultyProxy(database.url);
    running = await startApp(
      {
        imports: [
          DatabaseModule.forRoot({ url: proxy.url, poolSize: 1, maxOverflow: 0, retryAttempts: 0 }),
          TerminusModule.forRoot({ logger: false }),
        ],
        controllers: [HealthController],
        providers: [DatabaseHealthIndicator],
      },
      adapter(),
    );
    engine = running.get(AsyncEngine);
  });

  afterEach(async () => {
    await running.close();
    await proxy.close();
    await database.drop();
  });

  async function ask(
    url = running.url,
  ): Promise<{ readonly status: number; readonly database: Record<string, unknown> }> {
    const response = await fetch(`${url}/health`);
    const body = (await response.json()) as HealthCheckResult;
    return { status: response.status, database: body.details['database'] as Record<string, unknown> };
  }

  it('is up with the figures of the pool when the database answers', async () => {
    const idle = { size: 1, idle: 1, onLoan: 0, waiting: 0 };
    expect(await ask()).toEqual({ status: 200, database: { status: 'up', ...idle } });
    expect(engine.pool.checkedOut()).toBe(0);
  });

  it('is degraded, and still answers 200, when every connection is in use', async () => {
    await using connection = await engine.connect();
    const health = await ask();
    expect(health).toMatchObject({ status: 200, database: { ...DEGRADED, onLoan: 1, idle: 0 } });
    expect(health.database['message']).toContain('no connection became free within 100 ms');
    expect(connection.closed).toBe(false);
  });

  it('is degraded when it got a connection after callers who had waited before it', async () => {
    const holder = await engine.connect();
    const waiting = engine.connect((connection) => connection.rollback());
    const asked = ask();
    await eventually(() => expect(engine.pool.waiting()).toBe(2));
    await holder.close();
    expect(await asked).toMatchObject({ status: 200, database: { ...DEGRADED, waiting: 1 } });
    await waiting;
  });

  it('is degraded when no replica takes work, with why', async () => {
    const dead = `127.0.0.1:${await freePort()}`;
    const other = await startApp(
      {
        imports: [
          DatabaseModule.forRoot({ url: proxy.url, replicas: { url: `postgresql://${dead}/health` } }),
          TerminusModule.forRoot({ logger: false }),
        ],
        controllers: [HealthController],
        providers: [DatabaseHealthIndicator],
      },
      adapter(),
    );
    await other.get(AsyncEngine).scalar(text('SELECT 1'), undefined, { readOnly: true });
    expect(await ask(other.url)).toMatchObject({
      status: 200,
      database: { ...DEGRADED, replicas: [{ host: dead, usable: false, problem: 'unreachable' }] },
    });
    await other.close();
  });

  it('with Terminus 11, which knows up and down alone, is up and says that it is degraded', async () => {
    const said =
      (status: 'up' | 'down') =>
      (data: object): object => ({ database: { ...data, status } });
    const eleven = { check: () => ({ up: said('up'), down: said('down') }) };
    const indicator = new DatabaseHealthIndicator(
      eleven as unknown as HealthIndicatorService,
      running.get(ModuleRef as unknown as Type<ModuleRef>),
    );
    expect(await indicator.pingCheck('database')).toEqual({
      database: { status: 'up', size: 1, idle: 1, onLoan: 0, waiting: 0 },
    });
    await using _connection = await engine.connect();
    expect(await indicator.pingCheck('database', { timeout: 50 })).toMatchObject({
      database: { status: 'up', degraded: true, onLoan: 1 },
    });
  });

  it('is down, without a password in its message, when the server cannot be reached', async () => {
    await proxy.close();
    const health = await ask();
    expect(health).toMatchObject({ status: 503, database: { status: 'down', onLoan: 0 } });
    expect(JSON.stringify(health)).not.toContain(engine.url.password ?? 'no password');
  });

  it('is down in time when the server accepts and does not answer', async () => {
    proxy.stall();
    const began = performance.now();
    const health = await ask();
    expect(performance.now() - began).toBeLessThan(1_000);
    expect(health).toMatchObject({ status: 503, database: { status: 'down' } });
    proxy.resume();
    await eventually(() => expect(engine.pool.checkedOut()).toBe(0));
  });
});
