import { Controller, Get } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { AsyncConnection, AsyncEngine, DatabaseModule, sql } from 'nest-async-engine';
import { LogLines } from '../../support/doubles/log-lines.js';
import { eventually } from '../../support/process/barrier.js';
import { openRequest } from '../../support/nest/http.js';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import { expectIdle } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('waiting_line');
  await database.query('CREATE SEQUENCE runs');
});
afterAll(() => database.drop());

const RUN = sql<{ n: string }>`SELECT nextval('runs') AS n`;

@Controller('connection')
class WithConnection {
  constructor(private readonly connection: AsyncConnection) {}

  @Get('execute')
  execute(): Promise<unknown> {
    return this.connection.scalar(RUN);
  }
}

@Controller('engine')
class WithEngine {
  constructor(private readonly engine: AsyncEngine) {}

  @Get('execute')
  execute(): Promise<unknown> {
    return this.engine.scalar(RUN);
  }

  @Get('transaction')
  transaction(): Promise<unknown> {
    return this.engine.transaction(() => this.engine.scalar(RUN));
  }

  @Get('stream')
  stream(): Promise<unknown> {
    return this.engine.stream(RUN).all();
  }
}

describe.each(ADAPTERS)('a request on %s that waits for a connection', (_adapter, createAdapter) => {
  it.each(['connection/execute', 'engine/execute', 'engine/transaction', 'engine/stream'])(
    'leaves the line when its client goes: %s',
    async (path) => {
      await database.query('ALTER SEQUENCE runs RESTART');
      const errors: unknown[] = [];
      const logger = new LogLines();
      logger.error = (...line) => void errors.push(line);
      const running = await startApp(
        {
          imports: [DatabaseModule.forRoot({ url: database.url, poolSize: 1, maxOverflow: 0 })],
          controllers: [WithConnection, WithEngine],
        },
        createAdapter(),
        (app) => app.useLogger(logger),
      );
      onTestFinished(() => running.app.useLogger(false));
      const engine = running.get(AsyncEngine);
      const held = await engine.connect();
      const requests = Array.from({ length: 5 }, () => openRequest(`${running.url}/${path}`));
      await eventually(() => expect(engine.pool.waiting()).toBe(5));
      for (const request of requests) request.hangUp();
      await eventually(() => expect(engine.pool.waiting()).toBe(0));
      await held.close();
      await expectIdle(engine, database);
      expect(await (await fetch(`${running.url}/connection/execute`)).text()).toContain('1');
      // What a client that has gone would have been answered is no error of the application.
      expect(errors).toEqual([]);
      await running.close();
    },
  );
});
