import { connect } from 'node:http2';
import { once } from 'node:events';
import { Controller, Get, Header, HttpCode, Module, Redirect, VersioningType } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AsyncEngine, DatabaseModule, Transactional, sql } from 'nest-async-engine';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

abstract class Base {
  constructor(private readonly engine: AsyncEngine) {}

  protected async write(name: string): Promise<string> {
    await this.engine.currentConnection().execute(sql`INSERT INTO items VALUES (${name})`);
    return name;
  }

  get accessor(): string {
    throw new Error('nothing may read it');
  }

  @Get('inherited')
  inherited(): Promise<string> {
    return this.write(`inherited by ${this.constructor.name}`);
  }

  @Get('overridden')
  overridden(): Promise<string> {
    return this.write('base');
  }
}

@Controller('first')
class First extends Base {
  constructor(engine: AsyncEngine) {
    super(engine);
  }

  @Get('overridden')
  override async overridden(): Promise<string> {
    return `${await super.overridden()}, ${await this.write('sub')}`;
  }

  @Get('by-another')
  byAnother(): Promise<string> {
    return this.overridden();
  }

  @Transactional()
  @Get('transactional')
  transactional(): Promise<string> {
    return this.write('transactional');
  }

  @Get('parallel')
  async parallel(): Promise<string> {
    return (await Promise.all(['p1', 'p2', 'p3'].map((name) => this.write(name)))).join();
  }

  @Get('away')
  @Redirect('/elsewhere', 307)
  away(): void {}

  @Get('decorated')
  @Header('x-answer', 'decorated')
  @HttpCode(202)
  decorated(): string {
    return 'decorated';
  }
}

@Controller('second')
class Second extends Base {
  constructor(engine: AsyncEngine) {
    super(engine);
  }
}

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('route_variants');
  await database.query('CREATE TABLE items (name text)');
});
beforeEach(() => database.query('TRUNCATE items'));
afterAll(() => database.drop());

const databaseModule = () => DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0 });

describe.each(ADAPTERS)('the handlers of controllers on %s', (_adapter, createAdapter) => {
  it('are units of work where they are inherited, overridden, decorated, and called by each other', async () => {
    const running = await startApp(
      { imports: [databaseModule()], controllers: [First, Second] },
      createAdapter(),
      (app) => {
        app.setGlobalPrefix('api');
        app.enableVersioning({ type: VersioningType.URI, defaultVersion: '1' });
      },
    );
    const ask = (path: string): Promise<Response> =>
      fetch(`${running.url}/api/v1/${path}`, { redirect: 'manual' });
    for (const [path, answer] of [
      ['first/inherited', 'inherited by First'],
      ['second/inherited', 'inherited by Second'],
      ['first/overridden', 'base, sub'],
      ['second/overridden', 'base'],
      ['first/by-another', 'base, sub'],
      ['first/transactional', 'transactional'],
      ['first/parallel', 'p1,p2,p3'],
    ] as const) {
      expect(await (await ask(path)).text()).toBe(answer);
    }
    expect((await ask('first/away')).status).toBe(307);
    const decorated = await ask('first/decorated');
    expect([decorated.status, decorated.headers.get('x-answer')]).toEqual([202, 'decorated']);
    const inherited = ['inherited by First', 'inherited by Second'];
    const stored = ['base', 'base', 'base', ...inherited, 'p1', 'p2', 'p3', 'sub', 'sub', 'transactional'];
    expect(await storedNames(database)).toEqual(stored);
    await expectIdle(running.get(AsyncEngine), database);
    await running.close();
  });
});

describe('the handlers of controllers', () => {
  it('are units of work over HTTP/2', async () => {
    const adapter = new FastifyAdapter({ http2: true }) as unknown as AbstractHttpAdapter;
    const running = await startApp({ imports: [databaseModule()], controllers: [Second] }, adapter);
    const session = connect(running.url);
    const streams = Array.from({ length: 5 }, () => session.request({ ':path': '/second/inherited' }));
    await Promise.all(streams.map((stream) => once(stream.resume(), 'end')));
    session.close();
    expect(await storedNames(database)).toHaveLength(5);
    await expectIdle(running.get(AsyncEngine), database);
    await running.close();
  });

  it('belong to each of two applications of one process that have the same classes', async () => {
    @Module({ imports: [databaseModule()], controllers: [Second] })
    class AppModule {}
    const first = await NestFactory.create(AppModule, { logger: false });
    const second = await NestFactory.create(AppModule, new FastifyAdapter(), { logger: false });
    for (const app of [first, second]) await app.listen(0, '127.0.0.1');
    for (const app of [first, second, first]) {
      expect((await fetch(`${await app.getUrl()}/second/inherited`)).status).toBe(200);
    }
    expect(await storedNames(database)).toHaveLength(3);
    for (const app of [first, second]) {
      await expectIdle(app.get(AsyncEngine), database);
      await app.close();
    }
  });
});
