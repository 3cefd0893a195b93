import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { createGzip } from 'node:zlib';
import {
  Controller,
  Get,
  Header,
  Injectable,
  Post,
  UploadedFile,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import type { CanActivate } from '@nestjs/common';
import { FileInterceptor } from '@nestjs/platform-express';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AsyncConnection, AsyncEngine, DatabaseModule, InjectScopedConnection, sql } from 'nest-async-engine';
import { openRequest } from '../../support/nest/http.js';
import { without } from '../../support/nest/nest-version.js';
import { startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { Latch, eventually } from '../../support/process/barrier.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const ROWS = 20_000;
const MANY = sql`SELECT n, repeat(md5(n::text), 20) AS filler FROM generate_series(1, ${ROWS}::int) AS n`;
const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;
let guarded = new Latch<void>();

@Injectable()
class Writes implements CanActivate {
  constructor(@InjectScopedConnection() private readonly connection: AsyncConnection) {}

  async canActivate(): Promise<boolean> {
    await this.connection.execute(insert('guard'));
    guarded.open();
    return true;
  }
}

abstract class Routes {
  protected abstract readonly connection: AsyncConnection;

  @Post('file')
  @UseGuards(Writes)
  @UseInterceptors(FileInterceptor('file'))
  async file(@UploadedFile() file: { readonly size: number }): Promise<number> {
    await this.connection.execute(insert('handler'));
    return file.size;
  }

  @Get('rows')
  @Header('content-type', 'text/plain')
  async *rows(): AsyncGenerator<string> {
    await this.connection.execute(insert('rows'));
    for await (const row of this.connection.stream(MANY)) yield `${JSON.stringify(row)}\n`;
  }
}

@Controller('provider')
class ProviderController extends Routes {
  constructor(protected readonly connection: AsyncConnection) {
    super();
  }
}

@Controller('singleton')
class SingletonController extends Routes {
  constructor(@InjectScopedConnection() protected readonly connection: AsyncConnection) {
    super();
  }
}

/** As the middleware `compression` does: what a handler writes goes through a stream in front of the response. */
function compress(_request: unknown, response: ServerResponse, next: () => void): void {
  const gzip = createGzip();
  const write = response.write.bind(response) as (chunk: unknown) => boolean;
  const end = response.end.bind(response) as () => void;
  gzip.on('data', (chunk) => {
    if (!write(chunk)) gzip.pause();
  });
  gzip.on('end', () => end());
  response.on('drain', () => gzip.resume());
  gzip.on('drain', () => response.emit('drain'));
  const begin = (): void => {
    if (response.headersSent || response.hasHeader('content-encoding')) return;
    response.removeHeader('content-length');
    response.setHeader('content-encoding', 'gzip');
  };
  Object.assign(response, {
    write: (chunk: string) => {
      begin();
      return gzip.write(chunk);
    },
    end: (chunk?: string) => {
      begin();
      gzip.end(chunk);
      return response;
    },
  });
  next();
}

let database: TestDatabase;
let running: RunningApp;
let engine: AsyncEngine;
beforeAll(async () => {
  database = await createDatabase('bodies');
  await database.query('CREATE TABLE items (name text)');
  running = await startApp(
    {
      imports: [DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0 })],
      controllers: [ProviderController, SingletonController],
      providers: [Writes],
    },
    undefined,
    (app) => void app.use(compress),
  );
  engine = running.get(AsyncEngine);
});
beforeEach(() => {
  guarded = new Latch();
  return database.query('TRUNCATE items');
});
afterEach(() => expectIdle(engine, database));
afterAll(async () => {
  await running.close();
  await database.drop();
});

const isIdle = (): Promise<void> => eventually(() => expect(engine.pool.checkedOut()).toBe(0), 10_000);

describe.each(['provider', 'singleton'])('a request to the controller with the %s', (path) => {
  const HEAD = [
    `POST /${path}/file HTTP/1.1`,
    'Host: test',
    'Content-Type: multipart/form-data; boundary=cut',
    'Content-Length: 10000',
  ];
  const PART = '--cut\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf of it';

  it('whose upload is cut midway gives its connection back and leaves nothing', async () => {
    const socket = connect(Number(new URL(running.url).port), '127.0.0.1');
    socket.write(`${HEAD.join('\r\n')}\r\n\r\n${PART}`);
    await guarded.opened;
    socket.destroy();
    await isIdle();
    expect(await storedNames(database)).toEqual([]);
  });

  it('whose upload is whole stores it with what its guard wrote', async () => {
    const body = new FormData();
    body.append('file', new Blob(['whole']), 'a');
    expect(await (await fetch(`${running.url}/${path}/file`, { method: 'POST', body })).text()).toBe('5');
    expect(await storedNames(database)).toEqual(['guard', 'handler']);
  });

  it('that is answered by compressed rows sends them all and commits', async ({ skip }) => {
    skip(...without('async generators as handlers'));
    const response = await fetch(`${running.url}/${path}/rows`);
    expect(response.headers.get('content-encoding')).toBe('gzip');
    expect((await response.text()).match(/\n/g)?.length).toBe(ROWS);
    await isIdle();
    expect(await storedNames(database)).toEqual(['rows']);
  });

  it('whose client leaves amid compressed rows is undone', async ({ skip }) => {
    skip(...without('async generators as handlers'));
    const request = openRequest(`${running.url}/${path}/rows`);
    await once(await request.response, 'data');
    request.hangUp();
    await isIdle();
    expect(await storedNames(database)).toEqual([]);
  });
});
