import { once } from 'node:events';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import {
  Body,
  Catch,
  ConflictException,
  Controller,
  Get,
  Injectable,
  Param,
  ParseIntPipe,
  Post,
  SetMetadata,
  StreamableFile,
  UseFilters,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import type { ArgumentsHost, CanActivate, ExceptionFilter, ExecutionContext } from '@nestjs/common';
import type { CallHandler, INestApplication, MiddlewareConsumer, NestInterceptor } from '@nestjs/common';
import { ApplicationConfig, Reflector } from '@nestjs/core';
import { defer, from, throwError } from 'rxjs';
import type { Observable } from 'rxjs';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { AsyncEngine, DatabaseModule, getEngineToken, sql } from 'nest-async-engine';
import { Latch, eventually } from '../../support/process/barrier.js';
import { LogLines } from '../../support/doubles/log-lines.js';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { openRequest } from '../../support/nest/http.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;
const refuse = (): never => {
  throw new ConflictException();
};

class Passing implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle();
  }
}

@Injectable()
class MarkGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    return this.reflector.get<string>('mark', context.getHandler()) === 'on the handler';
  }
}

@Injectable()
class WritingGuard implements CanActivate {
  constructor(private readonly engine: AsyncEngine) {}

  async canActivate(): Promise<boolean> {
    await this.engine.currentConnection().execute(insert('guard'));
    return true;
  }
}

/** Writes its row when the request has failed: in no transaction of the request. */
@Catch(ConflictException)
class Audit implements ExceptionFilter {
  constructor(private readonly engine: AsyncEngine) {}

  catch(_error: unknown, host: ArgumentsHost): void {
    const response = host
      .switchToHttp()
      .getResponse<{ status(code: number): { send(body: string): void } }>();
    void this.engine.execute(insert('audit')).then(() => response.status(409).send('refused'));
  }
}

class RefusingPipe {
  transform(): never {
    return refuse();
  }
}

const late = { mayWrite: new Latch(), outcome: new Latch<string>() };
const slow = { entered: new Latch(), mayGoOn: new Latch() };

/** Nothing of it is request-scoped, and nothing has an interceptor. */
@Controller()
class Plain {
  constructor(private readonly engine: AsyncEngine) {}

  async #write(name: string): Promise<string> {
    await this.engine.currentConnection().execute(insert(name));
    return name;
  }

  @Get('nothing')
  nothing(): string {
    return 'nothing';
  }

  @Get('number/:id')
  number(@Param('id', ParseIntPipe) id: number): number {
    return id;
  }

  @Get('promise')
  promise(): Promise<string> {
    return this.#write('promise');
  }

  @Get('observable')
  observable(): Observable<string> {
    return defer(() => this.#write('observable'));
  }

  @Get('promised-observable')
  async promisedObservable(): Promise<Observable<string>> {
    return from(this.#write('promised observable'));
  }

  @Get('empty-observable')
  emptyObservable(): Observable<unknown> {
    return from(this.#write('empty observable').then(() => undefined));
  }

  @Get('body')
  async body(): Promise<StreamableFile> {
    const { engine } = this;
    async function* rows(): AsyncGenerator<string> {
      await engine.currentConnection().execute(insert('body'));
      yield 'body';
    }
    return new StreamableFile(Readable.from(rows()));
  }

  @Get('query')
  query(): PromiseLike<unknown> {
    return this.engine
      .currentConnection()
      .execute(sql`INSERT INTO items VALUES ('query') RETURNING name`)
      .one();
  }

  @Get('guarded')
  @UseGuards(WritingGuard)
  guarded(): Promise<string> {
    return this.#write('guarded');
  }

  @Get('deferred')
  async deferred(): Promise<string> {
    await this.engine.currentConnection().execute(sql`INSERT INTO once VALUES (1), (1)`);
    return 'not stored';
  }

  @Get('late')
  async late(): Promise<string> {
    await this.#write('stored');
    void late.mayWrite.opened
      .then(() => this.engine.execute(insert('late')))
      .then(
        () => late.outcome.open('stored'),
        (error: Error) => late.outcome.open(error.name),
      );
    return 'answered';
  }

  @Get('late-alone')
  async lateAlone(): Promise<string> {
    void late.mayWrite.opened
      .then(() => this.engine.execute(insert('late')))
      .then(
        () => late.outcome.open('stored'),
        (error: Error) => late.outcome.open(error.name),
      );
    return 'answered';
  }

  @Get('slow')
  async slow(): Promise<string> {
    slow.entered.open();
    await slow.mayGoOn.opened;
    await this.engine.execute(insert('slow'));
    return 'slow';
  }

  @Post('upload')
  async upload(@Body() body: { name: string }): Promise<string> {
    return await this.#write(body.name);
  }

  @Get('marked')
  @UseGuards(MarkGuard)
  @SetMetadata('mark', 'on the handler')
  marked(): string {
    return 'marked';
  }

  @Get('intercepted')
  @UseInterceptors(Passing)
  intercepted(): Promise<string> {
    return this.#write('intercepted');
  }
}

@Controller('failing')
@UseFilters(Audit)
class Failing {
  constructor(private readonly engine: AsyncEngine) {}

  async #write(): Promise<void> {
    await this.engine.currentConnection().execute(insert('undone'));
  }

  @Get('promise')
  async promise(): Promise<void> {
    await this.#write();
    refuse();
  }

  @Get('at-once')
  atOnce(): void {
    void this.#write();
    refuse();
  }

  @Get('observable')
  observable(): Observable<unknown> {
    return defer(async () => {
      await this.#write();
      refuse();
    });
  }

  @Get('promised-observable')
  async promisedObservable(): Promise<Observable<unknown>> {
    await this.#write();
    return throwError(() => new ConflictException());
  }

  @Get('pipe/:id')
  @UseGuards(WritingGuard)
  pipe(@Param('id', RefusingPipe) _id: string): string {
    return 'never';
  }

  @Get('nothing-used')
  nothingUsed(): string {
    return refuse();
  }
}

@Controller('class')
@UseInterceptors(Passing)
class Intercepted {
  constructor(private readonly engine: AsyncEngine) {}

  @Get()
  async add(): Promise<string> {
    await this.engine.currentConnection().execute(insert('class'));
    return 'class';
  }
}

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('route_handlers');
  await database.query('CREATE TABLE items (name text)');
  await database.query('CREATE TABLE once (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)');
});
beforeEach(async () => {
  await database.query('TRUNCATE items');
  Object.assign(late, { mayWrite: new Latch(), outcome: new Latch<string>() });
  Object.assign(slow, { entered: new Latch(), mayGoOn: new Latch() });
});
afterAll(() => database.drop());

const CONTROLLERS = [Plain, Failing, Intercepted];

describe.each(ADAPTERS)('a route without interceptors on %s', (_adapter, createAdapter) => {
  let running: RunningApp;
  let engine: AsyncEngine;
  beforeAll(async () => {
    running = await startApp(
      {
        imports: [
          DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0, logger: new LogLines() }),
        ],
        controllers: CONTROLLERS,
      },
      createAdapter(),
    );
    engine = running.get(AsyncEngine);
  });
  afterAll(() => running.close());

  const ask = async (path: string): Promise<string> => await (await fetch(`${running.url}/${path}`)).text();

  it('opens no scope where its handler uses no engine', async () => {
    const opened = vi.spyOn(engine, 'openScope');
    expect(await ask('nothing')).toBe('nothing');
    expect(await ask('marked')).toBe('marked');
    expect(await ask('number/7')).toBe('7');
    expect((await fetch(`${running.url}/nowhere`)).status).toBe(404);
    expect((await fetch(`${running.url}/nothing`, { method: 'HEAD' })).status).toBe(200);
    expect(opened).not.toHaveBeenCalled();
    opened.mockRestore();
    expect(engine.ambient.openScopes.size).toBe(0);
  });

  it.each([
    ['promise', 'promise', ['promise']],
    ['observable', 'observable', ['observable']],
    ['promised-observable', 'promised observable', ['promised observable']],
    ['empty-observable', '', ['empty observable']],
    ['body', 'body', ['body']],
    ['query', '{"name":"query"}', ['query']],
    ['guarded', 'guarded', ['guard', 'guarded']],
    ['intercepted', 'intercepted', ['intercepted']],
    ['class', 'class', ['class']],
  ])('stores what it did before it answers: %s', async (path, answer, names) => {
    expect(await ask(path)).toBe(answer);
    await eventually(async () => expect(await storedNames(database)).toEqual(names));
    await expectIdle(engine, database);
  });

  it.each(['promise', 'at-once', 'observable', 'promised-observable', 'pipe/7'])(
    'is undone before an exception filter writes: failing/%s',
    async (path) => {
      expect(await ask(`failing/${path}`)).toBe('refused');
      expect(await storedNames(database)).toEqual(['audit']);
      await expectIdle(engine, database);
    },
  );

  it('leaves a filter that is the first to use the engine a connection that commits itself', async () => {
    expect(await ask('failing/nothing-used')).toBe('refused');
    expect(await storedNames(database)).toEqual(['audit']);
    await expectIdle(engine, database);
  });

  it('answers with the failure of its COMMIT', async () => {
    expect((await fetch(`${running.url}/deferred`)).status).toBe(500);
    await expectIdle(engine, database);
  });

  it('refuses what its handler left running after a unit of work, and stores it where there was none', async () => {
    expect(await ask('late')).toBe('answered');
    late.mayWrite.open();
    expect(await late.outcome.opened).toMatch(/EndedError$/);
    expect(await storedNames(database)).toEqual(['stored']);

    Object.assign(late, { mayWrite: new Latch(), outcome: new Latch<string>() });
    expect(await ask('late-alone')).toBe('answered');
    late.mayWrite.open();
    expect(await late.outcome.opened).toBe('stored');
    expect(await storedNames(database)).toEqual(['late', 'stored']);
    await expectIdle(engine, database);
  });

  it('runs to its end when its client has gone, also where it uses the engine after that', async () => {
    const request = openRequest(`${running.url}/slow`);
    await slow.entered.opened;
    request.hangUp();
    slow.mayGoOn.open();
    await eventually(async () => expect(await storedNames(database)).toEqual(['slow']));
    await expectIdle(engine, database);
    expect(engine.ambient.openScopes.size).toBe(0);
  });

  it('is in its scope when its body comes later than its head', async () => {
    const { port } = running.app.getHttpServer().address() as { port: number };
    const socket = connect(port, '127.0.0.1');
    const arriving = once(running.app.getHttpServer() as NodeJS.EventEmitter, 'request');
    const body = JSON.stringify({ name: 'upload' });
    socket.write(
      'POST /upload HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: application/json\r\n' +
        `Content-Length: ${body.length}\r\n\r\n`,
    );
    await arriving;
    for (const byte of body) {
      socket.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1.1 201 /);
    expect(await storedNames(database)).toEqual(['upload']);
    await expectIdle(engine, database);
  });

  it('leaves controllers and the global interceptors as they were', () => {
    const plain = running.get(Plain);
    expect(Object.getOwnPropertyNames(plain)).not.toContain('promise');
    expect(running.get(ApplicationConfig).getGlobalInterceptors()).toHaveLength(1);
  });
});

/** Middleware of the kind that calls what follows from a socket of its own. */
const elsewhere = (_request: unknown, _response: unknown, next: () => void): void =>
  void toElsewhere.push(next);
const toElsewhere: (() => void)[] = [];

describe.each(ADAPTERS)('a route without interceptors on %s', (_adapter, createAdapter) => {
  const options = (name?: string) => ({ url: database.url, poolSize: 2, maxOverflow: 0, name });

  it('is in its scope behind middleware that loses the async context', async () => {
    class Middleware {
      configure(consumer: MiddlewareConsumer): void {
        consumer.apply(elsewhere).forRoutes('*path');
      }
    }
    const running = await startApp(
      { imports: [DatabaseModule.forRoot(options()), { module: Middleware }], controllers: CONTROLLERS },
      createAdapter(),
    );
    const answer = fetch(`${running.url}/promise`);
    const next = await eventually(() => {
      expect(toElsewhere).toHaveLength(1);
      return toElsewhere.pop() as () => void;
    });
    next();
    expect(await (await answer).text()).toBe('promise');
    expect(await storedNames(database)).toEqual(['promise']);
    await expectIdle(running.get(AsyncEngine), database);
    await running.close();
  });

  it('has a unit of work in each of two databases', async () => {
    const second = await createDatabase('route_handlers_second');
    await second.query('CREATE TABLE items (name text)');
    @Controller()
    class Both {
      constructor(private readonly engine: AsyncEngine) {}

      @Get(':outcome')
      async both(@Param('outcome') outcome: string): Promise<string> {
        const other = running.get<AsyncEngine>(getEngineToken('second') as string);
        for (const each of [this.engine, other]) await each.currentConnection().execute(insert(outcome));
        return outcome === 'fails' ? refuse() : outcome;
      }
    }
    const running = await startApp(
      {
        imports: [
          DatabaseModule.forRoot(options()),
          DatabaseModule.forRoot({ ...options('second'), url: second.url }),
        ],
        controllers: [Both],
      },
      createAdapter(),
    );
    for (const outcome of ['fails', 'stored']) await (await fetch(`${running.url}/${outcome}`)).text();
    for (const each of [database, second]) expect(await storedNames(each)).toEqual(['stored']);
    await running.close();
    await second.drop();
  });

  it('keeps the interceptor where a controller is frozen, or another one is global', async () => {
    @Controller('frozen')
    class Frozen {
      constructor(private readonly engine: AsyncEngine) {
        Object.freeze(this);
      }

      @Get()
      async add(): Promise<void> {
        await this.engine.currentConnection().execute(insert('frozen'));
      }
    }
    const ways: [unknown[], (app: INestApplication) => void][] = [
      [[Frozen, Plain], () => undefined],
      [[Plain], (app) => app.useGlobalInterceptors(new Passing())],
    ];
    for (const [controllers, prepare] of ways) {
      const running = await startApp(
        { imports: [DatabaseModule.forRoot(options())], controllers: controllers as [] },
        createAdapter(),
        prepare,
      );
      expect(await (await fetch(`${running.url}/promise`)).text()).toBe('promise');
      await fetch(`${running.url}/frozen`);
      await expectIdle(running.get(AsyncEngine), database);
      await running.close();
    }
    expect(await storedNames(database)).toEqual(['frozen', 'promise', 'promise']);
  });

  it('is waited for by a shutdown before it has used the engine, and named where it takes too long', async () => {
    const logger = new LogLines();
    const running = await startApp(
      {
        imports: [DatabaseModule.forRoot({ ...options(), shutdownTimeout: 50, logger })],
        controllers: [Plain],
      },
      createAdapter(),
    );
    const request = openRequest(`${running.url}/slow?secret=1`);
    await slow.entered.opened;
    const closing = running.close();
    await eventually(() => {
      const warnings = logger.lines.filter(({ level }) => level === 'warn').map(({ message }) => message);
      expect(warnings).toEqual([expect.stringMatching(/Still open: GET \/slow\.$/)]);
    });
    slow.mayGoOn.open();
    expect((await request.response).statusCode).toBe(500);
    request.hangUp();
    await closing;
    expect(await storedNames(database)).toEqual([]);
  });
});
