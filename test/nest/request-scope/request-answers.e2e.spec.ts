import { once } from 'node:events';
import { Agent, get as httpGet } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect, constants } from 'node:http2';
import {
  Catch,
  Controller,
  ForbiddenException,
  Get,
  Injectable,
  Req,
  Res,
  StreamableFile,
  UseFilters,
  UseGuards,
} from '@nestjs/common';
import type { CanActivate, ExceptionFilter, ExecutionContext } from '@nestjs/common';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AsyncConnection, AsyncEngine, DatabaseModule, sql, streamRows } from 'nest-async-engine';
import { Latch, eventually } from '../../support/process/barrier.js';
import { openRequest } from '../../support/nest/http.js';
import { without } from '../../support/nest/nest-version.js';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;

/** Node's request, to which the guard has added who asks. */
interface KnownRequest {
  headers: Record<string, string | undefined>;
  url?: string;
  tenant?: string | undefined;
}

@Injectable()
class Stage {
  entered = new Latch();
  mayGoOn = new Latch();
  readonly warnings: string[] = [];
}

@Injectable()
class KnowsTenant implements CanActivate {
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<KnownRequest & { raw?: KnownRequest }>();
    const raw = request.raw ?? request;
    await Promise.resolve();
    raw.tenant = raw.headers['x-tenant'];
    return true;
  }
}

@Injectable()
class SlowGuard implements CanActivate {
  constructor(private readonly stage: Stage) {}

  async canActivate(): Promise<boolean> {
    this.stage.entered.open();
    await this.stage.mayGoOn.opened;
    return true;
  }
}

@Injectable()
class Denied implements CanActivate {
  canActivate(): boolean {
    throw new ForbiddenException();
  }
}

@Catch()
@Injectable()
class ThrowingFilter implements ExceptionFilter {
  constructor(private readonly connection: AsyncConnection) {}

  catch(): void {
    void this.connection.execute(insert('of the filter')).then(() => undefined);
    throw new Error('in the filter');
  }
}

interface RawReply {
  end(text: string): void;
}

@Catch()
@Injectable()
class Auditor implements ExceptionFilter {
  constructor(private readonly engine: AsyncEngine) {}

  async catch(_error: unknown, host: { switchToHttp(): { getResponse<T>(): T } }): Promise<void> {
    const audit = () => this.engine.execute(insert('audit'));
    await this.engine.transaction(audit, { propagation: 'requires-new' });
    const response = host.switchToHttp().getResponse<RawReply & { raw?: RawReply }>();
    (response.raw ?? response).end('audited');
  }
}

@Controller()
class Routes {
  constructor(
    private readonly connection: AsyncConnection,
    private readonly stage: Stage,
  ) {}

  @Get('mine')
  async mine(@Res() response: RawReply & { raw?: RawReply }): Promise<void> {
    await this.connection.execute(insert('own response'));
    await this.connection.commit();
    (response.raw ?? response).end('mine');
  }

  @Get('add')
  async add(@Req() { url }: KnownRequest): Promise<string> {
    await this.connection.execute(insert(String(url)));
    return String(await this.connection.scalar(sql`SELECT pg_current_xact_id()::text`));
  }

  @Get('settings')
  @UseGuards(KnowsTenant)
  async settings(): Promise<object> {
    return await this.connection
      .execute<object>(
        sql`SELECT current_setting('app.tenant') AS tenant, current_setting('transaction_isolation') AS level,
              current_setting('transaction_read_only') AS read_only`,
      )
      .one();
  }

  @Get('guarded')
  @UseGuards(SlowGuard)
  async guarded(): Promise<string> {
    await this.connection.execute(insert('after the client has gone'));
    return 'guarded';
  }

  @Get('denied')
  @UseFilters(Auditor)
  @UseGuards(Denied)
  denied(): void {}

  @Get('filter')
  @UseFilters(ThrowingFilter)
  async filter(): Promise<void> {
    await this.connection.execute(insert('of the handler'));
    throw new Error('in the handler');
  }

  @Get('orphan')
  async orphan(): Promise<void> {
    await this.connection.execute(insert('orphan'));
    this.stage.entered.open();
    await this.stage.mayGoOn.opened;
  }

  @Get('body')
  async *body(): AsyncGenerator<string> {
    await this.connection.execute(insert('streamed'));
    yield 'one ';
    yield 'two';
  }

  @Get('rows')
  rows(): StreamableFile {
    const rows = sql`SELECT n, repeat('x', 500) AS filler FROM generate_series(1, 20000) AS n`;
    return streamRows(this.connection.stream(rows), { format: 'ndjson' });
  }
}

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('answers');
  await database.query('CREATE TABLE items (name text)');
});
beforeEach(() => database.query('TRUNCATE items'));
afterAll(() => database.drop());

/** Every request is of the tenant that its guard found, reads only where it asks for it, and in its own isolation. */
const optionsOf = (request: unknown) => {
  const { tenant = 'nobody', url = '' } = request as KnownRequest;
  const isSettings = url.startsWith('/settings');
  return {
    settings: { 'app.tenant': tenant },
    ...(isSettings && { readOnly: true, isolationLevel: 'REPEATABLE READ' as const }),
  };
};

async function start(adapter: AbstractHttpAdapter, stage: Stage): Promise<RunningApp> {
  const logger = {
    log: () => undefined,
    warn: (line: string) => void stage.warnings.push(line),
    error: () => undefined,
  };
  const imports = [
    DatabaseModule.forRoot({
      url: database.url,
      poolSize: 2,
      maxOverflow: 0,
      logger,
      requestScope: { connection: optionsOf, orphanTimeout: 500 },
    }),
  ];
  return await startApp(
    {
      imports,
      controllers: [Routes],
      providers: [SlowGuard, ThrowingFilter, Auditor, { provide: Stage, useValue: stage }],
    },
    adapter,
  );
}

describe.each(ADAPTERS)('a request with its own connection on %s', (_adapter, createAdapter) => {
  let running: RunningApp;
  let stage: Stage;

  beforeAll(async () => {
    stage = new Stage();
    running = await start(createAdapter(), stage);
  });
  beforeEach(() => {
    stage.warnings.length = 0;
    stage.entered = new Latch();
    stage.mayGoOn = new Latch();
  });
  afterEach(() => expectIdle(running.get(AsyncEngine), database));
  afterAll(() => running.close());

  it('whose handler writes the response itself is as good as any', async () => {
    expect(await (await fetch(`${running.url}/mine`)).text()).toBe('mine');
    expect(await storedNames(database)).toEqual(['own response']);
  });

  it('is one of many on a socket that is kept alive, each in its own transaction', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ids = new Set<string>();
    for (const path of ['/add?1', '/add?2', '/add?3']) {
      const [response] = (await once(httpGet(`${running.url}${path}`, { agent }), 'response')) as [
        IncomingMessage,
      ];
      ids.add((await response.setEncoding('utf8').toArray()).join(''));
    }
    agent.destroy();
    expect(ids.size).toBe(3);
    expect(await storedNames(database)).toEqual(['/add?1', '/add?2', '/add?3']);
  });

  it('has options made of what its guard found out, and they end with it', async () => {
    const ask = async (tenant: string): Promise<unknown> =>
      (await fetch(`${running.url}/settings`, { headers: { 'x-tenant': tenant } })).json();
    const answers = await Promise.all([ask('red'), ask('blue'), ask('green')]);
    const common = { level: 'repeatable read', read_only: 'on' };
    expect(answers).toEqual(['red', 'blue', 'green'].map((tenant) => ({ tenant, ...common })));
    const engine = running.get(AsyncEngine);
    expect(await engine.scalar(sql`SELECT nullif(current_setting('app.tenant', true), '')`)).toBeNull();
  });

  it('whose client goes before the handler begins is handled and stored', async () => {
    const request = openRequest(`${running.url}/guarded`);
    await stage.entered.opened;
    request.hangUp();
    await fetch(`${running.url}/mine`);
    stage.mayGoOn.open();
    await eventually(async () => expect(await storedNames(database)).toContain('after the client has gone'));
  });

  it('that a guard denies lets a filter write by itself with requires-new', async () => {
    expect(await (await fetch(`${running.url}/denied`)).text()).toBe('audited');
    expect(await storedNames(database)).toEqual(['audit']);
  });

  it('whose filter fails, too, keeps what the filter wrote and nothing of the handler', async () => {
    const request = openRequest(`${running.url}/filter`);
    await eventually(async () => expect(await storedNames(database)).toEqual(['of the filter']));
    request.hangUp();
  });

  it('that runs on after orphanTimeout is reported by its route, and not disturbed', async () => {
    const request = openRequest(`${running.url}/orphan?secret=1`);
    await stage.entered.opened;
    request.hangUp();
    await eventually(() => expect(stage.warnings).toHaveLength(1));
    expect(stage.warnings).toEqual([
      expect.stringMatching(/^GET \/orphan is still running 500 ms after its client disconnected/),
    ]);
    stage.mayGoOn.open();
    await eventually(async () => expect(await storedNames(database)).toEqual(['orphan']));
  });

  it('that is read slowly sends all rows of its cursor', async () => {
    const [response] = (await once(httpGet(`${running.url}/rows`), 'response')) as [IncomingMessage];
    let lines = 0;
    for await (const chunk of response) {
      lines += (chunk as Buffer).toString().match(/\n/g)?.length ?? 0;
      response.pause();
      await new Promise((resolve) => setImmediate(resolve));
      response.resume();
    }
    expect(lines).toBe(20_000);
  });
});

describe('HTTP/2 on Fastify', () => {
  let running: RunningApp;
  beforeAll(async () => {
    running = await start(new FastifyAdapter({ http2: true }) as unknown as AbstractHttpAdapter, new Stage());
  });
  afterEach(() => expectIdle(running.get(AsyncEngine), database));
  afterAll(() => running.close());

  it.for(['/add', '/body'])(
    'answers many requests of one session and stores what %s wrote',
    async (path, { skip }) => {
      if (path === '/body') skip(...without('async generators as handlers'));
      const session = connect(running.url);
      const ask = async (): Promise<string> =>
        (await session.request({ ':path': path }).setEncoding('utf8').toArray()).join('');
      const answers = await Promise.all([ask(), ask(), ask()]);
      expect(new Set(answers).size).toBe(path === '/add' ? 3 : 1);
      await eventually(async () => expect(await storedNames(database)).toHaveLength(3));
      session.close();
    },
  );

  it('runs a handler to its end, and stores it, when its stream is cancelled amid it', async () => {
    const session = connect(running.url);
    const arrived = once(running.app.getHttpServer() as NodeJS.EventEmitter, 'stream');
    const stream = session.request({ ':path': '/orphan' });
    const [serverStream] = (await arrived) as [NodeJS.EventEmitter];
    const { entered, mayGoOn } = running.get(Stage);
    await entered.opened;
    const closed = once(serverStream, 'close');
    stream.close(constants.NGHTTP2_CANCEL);
    await closed;
    mayGoOn.open();
    await eventually(async () => expect(await storedNames(database)).toEqual(['orphan']));
    session.close();
  });

  it('undoes a streamed body whose reader left', async () => {
    const session = connect(running.url);
    const stream = session.request({ ':path': '/rows' });
    await once(stream, 'data');
    stream.close(constants.NGHTTP2_CANCEL);
    await eventually(() => expect(running.get(AsyncEngine).pool.checkedOut()).toBe(0), 2_000);
    session.close();
  });
});
