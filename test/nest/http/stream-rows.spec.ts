import 'reflect-metadata';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { Controller, Get, type INestApplication, Module, type StreamableFile } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type AsyncEngine, createAsyncEngine, text } from 'nest-async-engine/engine';
import { streamRows } from '../../../lib/nest/http/stream-rows.js';
import { eventually } from '../../support/process/barrier.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';

let database: TestDatabase;
let engine: AsyncEngine;
/** The streams of the last request. */
let file: StreamableFile;

const WIDE = `SELECT n, repeat('x', 1000) AS filler FROM generate_series(1, 100000) AS n`;

@Controller()
class ReportController {
  @Get('small')
  small(): StreamableFile {
    const rows = engine.stream(text(`SELECT 1 AS id, 'é,"' AS name, now() - now() AS nothing, NULL AS gone`));
    return streamRows(rows.columns('id', 'name', 'gone'), { format: 'csv', filename: 'naïve.csv' });
  }

  @Get('wide')
  wide(): StreamableFile {
    file = streamRows(engine.stream(text(WIDE)), { format: 'ndjson' }).setErrorLogger(() => undefined);
    return file;
  }

  @Get('wrong')
  wrong(): StreamableFile {
    return streamRows(engine.stream(text('SELECT nonsense')), { format: 'json' }).setErrorLogger(
      () => undefined,
    );
  }

  @Get('breaks')
  breaks(): StreamableFile {
    const rows = engine.stream(text('SELECT 1 / (5000 - n) AS n FROM generate_series(1, 9000) AS n'));
    return streamRows(rows, { format: 'json' }).setErrorLogger(() => undefined);
  }
}

@Module({ controllers: [ReportController] })
class ReportModule {}

beforeAll(async () => {
  database = await createDatabase('stream_rows');
});
afterAll(() => database.drop());

describe.each([
  ['express', () => new ExpressAdapter()],
  ['fastify', () => new FastifyAdapter()],
])('streamRows on %s', (_, adapter) => {
  let application: INestApplication;
  let port: number;

  beforeEach(async () => {
    engine = createAsyncEngine(database.url, { poolSize: 2, maxOverflow: 0 });
    application = await NestFactory.create(ReportModule, adapter(), { logger: false });
    await application.listen(0, '127.0.0.1');
    ({ port } = application.getHttpServer().address() as AddressInfo);
  });
  afterEach(async () => {
    await application.close();
    await engine.aclose();
  });

  const request = async (path: string): Promise<IncomingMessage> => {
    const sent = get({ port, host: '127.0.0.1', path: `/${path}`, agent: false });
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    return response;
  };

  it('sends a file with its type and name', async () => {
    const response = await request('small');
    expect(await textOf(response)).toBe('id,name,gone\r\n1,"é,""",\r\n');
    expect(response.headers).toMatchObject({
      'content-type': 'text/csv; charset=utf-8',
      'content-disposition': `attachment; filename="na_ve.csv"; filename*=UTF-8''na%C3%AFve.csv`,
    });
  });

  it('sends every row of a large file', async () => {
    const lines = (await textOf(await request('wide'))).trimEnd().split('\n');
    expect([lines.length, JSON.parse(lines.at(-1) ?? '')]).toMatchObject([100_000, { n: 100_000 }]);
  });

  it('closes the cursor and gives the connection back when the client hangs up', async () => {
    const response = await request('wide');
    await once(response, 'readable');
    expect(engine.pool.checkedOut()).toBe(1);
    response.destroy();
    await eventually(() => expect([engine.pool.checkedOut(), file.getStream().destroyed]).toEqual([0, true]));
    const sessions = await database.sessions();
    expect(sessions.map(({ state }) => state)).toEqual(['idle']);
  });

  it('reads no further than the client does', async () => {
    const response = await request('wide');
    await eventually(() => expect(file.getStream().readableLength).toBeGreaterThan(0));
    await eventually(() => expect(file.getStream().readableFlowing).toBe(false));
    // The batch that is fetched ahead may still be on its way.
    await eventually(async () => {
      const [session] = await database.sessions();
      expect(session?.state).toBe('idle in transaction');
    });
    response.destroy();
    await eventually(() => expect(engine.pool.checkedOut()).toBe(0));
  });

  it('answers 500 when the statement is wrong', async () => {
    const response = await request('wrong');
    response.resume();
    expect(response.statusCode).toBe(500);
  });

  it('cuts the connection when it fails later, so that the file is never short in silence', async () => {
    const response = await request('breaks');
    expect(response.statusCode).toBe(200);
    await expect(textOf(response)).rejects.toMatchObject({ code: 'ECONNRESET' });
    await eventually(() => expect(engine.pool.checkedOut()).toBe(0));
  });
});
