import { once } from 'node:events';
import { Controller, Get, Param } from '@nestjs/common';
import type { StreamableFile } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AsyncConnection, AsyncEngine, DatabaseModule, sql, streamRows } from 'nest-async-engine';
import type { StreamRowsOptions } from 'nest-async-engine';
import { openRequest } from '../../support/nest/http.js';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { expectIdle } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const FORMATS: readonly StreamRowsOptions['format'][] = ['ndjson', 'csv', 'json'];
/** Far more than sockets hold: the server has not sent the last row when the client goes. */
const MANY = sql`SELECT n, repeat('x', 1000) AS filler FROM generate_series(1, 100000) AS n`;

@Controller('engine')
class EngineRows {
  constructor(private readonly engine: AsyncEngine) {}

  @Get('unread')
  unread(): StreamableFile {
    return streamRows(this.engine.stream(MANY), { format: 'csv', readTimeout: 100 });
  }

  @Get(':format')
  rows(@Param('format') format: StreamRowsOptions['format']): StreamableFile {
    return streamRows(this.engine.stream(MANY), { format });
  }
}

@Controller('connection')
class ConnectionRows {
  constructor(private readonly connection: AsyncConnection) {}

  @Get('unread')
  unread(): StreamableFile {
    return streamRows(this.connection.stream(MANY), { format: 'csv', readTimeout: 100 });
  }

  @Get(':format')
  rows(@Param('format') format: StreamRowsOptions['format']): StreamableFile {
    return streamRows(this.connection.stream(MANY), { format });
  }
}

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase('stream_rows');
});
afterAll(() => database.drop());

describe.each(ADAPTERS)('streamRows over HTTP/1.1 on %s', (_adapter, createAdapter) => {
  let running: RunningApp;

  beforeAll(async () => {
    running = await startApp(
      {
        imports: [DatabaseModule.forRoot({ url: database.url, poolSize: 1, maxOverflow: 0 })],
        controllers: [EngineRows, ConnectionRows],
      },
      createAdapter(),
    );
  });
  afterEach(() => expectIdle(running.get(AsyncEngine), database));
  afterAll(() => running.close());

  it.each(['engine', 'connection'].flatMap((handle) => FORMATS.map((format) => [handle, format] as const)))(
    'frees cursor, transaction and connection of the %s when the reader of %s leaves early',
    async (handle, format) => {
      const request = openRequest(`${running.url}/${handle}/${format}`);
      const response = await request.response;
      await once(response, 'data');
      expect(running.get(AsyncEngine).pool.checkedOut()).toBe(1);
      request.hangUp();
      await expectIdle(running.get(AsyncEngine), database);
      // The one connection there is works for the next.
      expect(await running.get(AsyncEngine).scalar(sql`SELECT 1`)).toBe(1);
    },
  );

  it.each(['engine', 'connection'])(
    'frees cursor, transaction and connection of the %s when a reader takes nothing for readTimeout',
    async (handle) => {
      const request = openRequest(`${running.url}/${handle}/unread`);
      const response = await request.response;
      await expectIdle(running.get(AsyncEngine), database);
      const text = response.setEncoding('utf8').toArray();
      await expect(text).rejects.toThrow('aborted');
    },
  );
});
