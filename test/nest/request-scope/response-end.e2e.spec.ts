import { once } from 'node:events';
import { connect as connectSecond } from 'node:http2';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { Body, Controller, Get, Injectable, Module, Post, Req, StreamableFile } from '@nestjs/common';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { configure } from '@codegenie/serverless-express';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { AsyncConnection, AsyncEngine, DatabaseModule, sql, streamRows } from 'nest-async-engine';
import { Latch } from '../../support/process/barrier.js';
import { openRequest } from '../../support/nest/http.js';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

/** Where a handler tells that it runs, and waits until it may answer. */
@Injectable()
class Stage {
  entered = new Latch<Socket>();
  mayGoOn = new Latch();
}

interface AnyRequest {
  readonly socket: Socket;
  readonly raw?: { readonly socket: Socket };
}

const MANY = sql`SELECT g, repeat('x', 300) AS filler FROM generate_series(1, 4000) AS g`;

@Controller()
class Routes {
  constructor(
    private readonly connection: AsyncConnection,
    private readonly stage: Stage,
  ) {}

  @Get('file')
  async file(@Req() request: AnyRequest): Promise<StreamableFile> {
    await this.connection.execute(sql`INSERT INTO items VALUES ('file')`);
    this.stage.entered.open((request.raw ?? request).socket);
    await this.stage.mayGoOn.opened;
    return new StreamableFile(Buffer.from('content'));
  }

  @Get('rows')
  rows(): StreamableFile {
    return streamRows(this.connection.stream(MANY), { format: 'csv' });
  }

  @Post('upload')
  async upload(@Body() body: unknown): Promise<unknown> {
    await this.connection.execute(sql`INSERT INTO items VALUES ('upload')`);
    return body;
  }
}

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('response_end');
  await database.query('CREATE TABLE items (name text)');
});
beforeEach(() => database.query('TRUNCATE items'));
afterAll(() => database.drop());

// No limit of time may be what ends a request here.
const OPTIONS = { poolSize: 8, maxOverflow: 0, shutdownTimeout: 600_000 };
const start = (adapter: AbstractHttpAdapter): Promise<RunningApp> =>
  startApp(
    {
      imports: [
        DatabaseModule.forRoot({ url: database.url, ...OPTIONS, requestScope: { orphanTimeout: 600_000 } }),
      ],
      controllers: [Routes],
      providers: [Stage],
    },
    adapter,
  );

/** A client on a plain socket. */
async function dial({ app }: RunningApp): Promise<Socket> {
  const { port } = app.getHttpServer().address() as { port: number };
  const socket = connect(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  return socket.on('error', () => undefined);
}

describe.each(ADAPTERS)('the scope of a request on %s', (_adapter, createAdapter) => {
  let running: RunningApp;
  beforeEach(async () => {
    running = await start(createAdapter());
    // Waits for every open scope.
    return () => running.close();
  });

  it('ends with a streamed body whose client has gone before the handler returned it, and is undone', async () => {
    const stage = running.get(Stage);
    const request = openRequest(`${running.url}/file`);
    const socket = await stage.entered.opened;
    const closed = once(socket, 'close');
    request.hangUp();
    await closed;
    stage.mayGoOn.open();
    await expectIdle(running.get(AsyncEngine), database);
    expect(await storedNames(database)).toEqual([]);
  });

  it('ends with the socket where its response waits behind another one', async () => {
    const sockets = await Promise.all(Array.from({ length: 4 }, () => dial(running)));
    for (const socket of sockets) {
      const isAnswered = once(socket, 'data');
      socket.write('GET /rows HTTP/1.1\r\nHost: test\r\n\r\n'.repeat(14));
      await isAnswered;
      socket.destroy();
    }
    expect(running.get(AsyncEngine).pool.status()).toContain('size 8');
    await expectIdle(running.get(AsyncEngine), database);
  });

  it('ends with an upload that is cut', async () => {
    const socket = await dial(running);
    const arriving = once(running.app.getHttpServer() as NodeJS.EventEmitter, 'request');
    socket.write('POST /upload HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n');
    socket.write('Content-Length: 1000\r\n\r\n{"a":');
    const server = (await arriving) as [{ socket: Socket }];
    // Node reports the cut as an error of the socket, for which once() would reject.
    const closed = new Promise((resolve) => server[0].socket.once('close', resolve));
    socket.destroy();
    await closed;
    await expectIdle(running.get(AsyncEngine), database);
    expect(await storedNames(database)).toEqual([]);
  });
});

describe('the scope of a request', () => {
  it('ends where its client has gone before it was opened', async () => {
    const [, createAdapter] = ADAPTERS[0] as (typeof ADAPTERS)[number];
    const arrived = new Latch<Socket>();
    const mayGoOn = new Latch();
    const passed = new Latch();
    const adapter = createAdapter();
    adapter.use(async (request: AnyRequest, _response: unknown, next: () => void) => {
      arrived.open(request.socket);
      await mayGoOn.opened;
      next();
      passed.open();
    });
    const running = await start(adapter);
    const request = openRequest(`${running.url}/rows`);
    const closed = once(await arrived.opened, 'close');
    request.hangUp();
    await closed;
    mayGoOn.open();
    await passed.opened;
    await expect(running.close()).resolves.toBeUndefined();
  });

  it('ends under an adapter without sockets, whose responses never emit close', async () => {
    @Module({
      imports: [DatabaseModule.forRoot({ url: database.url, ...OPTIONS })],
      controllers: [Routes],
      providers: [Stage],
    })
    class AppModule {}
    const app = await NestFactory.create(AppModule, { logger: false });
    await app.init();
    const handler = configure({ app: app.getHttpAdapter().getInstance() as never }) as unknown as (
      event: object,
      context: object,
    ) => Promise<{ statusCode: number }>;
    const event = {
      version: '2.0',
      rawPath: '/rows',
      rawQueryString: '',
      headers: { host: 'test' },
      requestContext: { http: { method: 'GET', path: '/rows', sourceIp: '127.0.0.1' }, stage: '$default' },
      isBase64Encoded: false,
    };
    expect((await handler(event, {})).statusCode).toBe(200);
    await expectIdle(app.get(AsyncEngine), database);
    await app.close();
  });

  it('ends with an upload over HTTP/2 that is cut', async () => {
    const running = await start(new FastifyAdapter({ http2: true }) as unknown as AbstractHttpAdapter);
    const session = connectSecond(running.url);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/upload',
      'content-type': 'application/json',
    });
    const arrived = once(running.app.getHttpServer() as NodeJS.EventEmitter, 'stream');
    stream.write('{"a":');
    const [serverStream] = (await arrived) as [NodeJS.EventEmitter];
    const closed = once(serverStream, 'close');
    stream.on('error', () => undefined).close(8);
    await closed;
    session.close();
    await running.close();
    expect(await storedNames(database)).toEqual([]);
  });
});
