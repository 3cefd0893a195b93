import { Controller, Get, Module, Post, Res, type INestApplication } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { NestFactory } from '@nestjs/core';
import { AsyncEngine, cookieConsistency, DatabaseModule, sql, Transactional } from 'nest-async-engine';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../../lib/embedded/embedded-postgres.js';
import { eventually } from '../../support/process/barrier.js';
import { queryOnce } from '../../support/server/postgres.js';
import { pauseReplay } from '../../support/server/standby.js';

let primary: EmbeddedPostgres;
let resume: () => Promise<void>;

@Controller('notes')
class NotesController {
  constructor(private readonly engine: AsyncEngine) {}

  @Post()
  @Transactional()
  async add(
    @Res({ passthrough: true }) response: { header(name: string, value: string): unknown },
  ): Promise<void> {
    response.header('Set-Cookie', 'other=1');
    await this.engine.execute(sql`INSERT INTO notes DEFAULT VALUES`);
  }

  @Get()
  @Transactional({ readOnly: true })
  async count(): Promise<{ count: number; onReplica: boolean }> {
    return await this.engine
      .execute(
        sql<{ count: number; onReplica: boolean }>`
        SELECT count(*)::int AS count, pg_is_in_recovery() AS "onReplica" FROM notes`,
      )
      .one();
  }
}

async function start(adapter: ExpressAdapter | FastifyAdapter): Promise<INestApplication> {
  @Module({
    imports: [
      DatabaseModule.forRoot({
        url: primary.url,
        replicas: { url: primary.replicas.map(({ url }) => url), maxLag: 600_000 },
        requestScope: { consistency: cookieConsistency({ name: 'db' }) },
      }),
    ],
    controllers: [NotesController],
  })
  class AppModule {}
  const app = await NestFactory.create(AppModule, adapter, { logger: false });
  await app.listen(0, '127.0.0.1');
  return app;
}

beforeAll(async () => {
  primary = await startEmbeddedPostgres({ replicas: 2 });
  await queryOnce(primary.url, 'CREATE TABLE notes (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)');
  const [quick, paused] = primary.replicas as [EmbeddedPostgres, EmbeddedPostgres];
  for (const { url } of [quick, paused]) await eventually(() => queryOnce(url, 'SELECT FROM notes'));
  resume = await pauseReplay(paused);
});
afterAll(async () => {
  await resume();
  await primary.stop();
});

describe.each([
  ['Express', () => new ExpressAdapter()],
  ['Fastify', () => new FastifyAdapter()],
])('cookieConsistency over %s, with two replicas of which one has stopped to follow', (_, adapter) => {
  let app: INestApplication;

  beforeAll(async () => {
    await queryOnce(primary.url, 'TRUNCATE notes');
    app = await start(adapter());
  });
  afterEach(() => eventually(() => expect(app.get(AsyncEngine).pool.checkedOut()).toBe(0)));
  afterAll(() => app.close());

  const ask = async (method: string, cookie = ''): Promise<Response> =>
    fetch(`${await app.getUrl()}/notes`, { method, headers: { cookie } });

  it('lets each client read what it has just written, in 100 pairs of requests', async () => {
    const servers = new Set<boolean>();
    for (let written = 1; written <= 100; written += 1) {
      const answer = await ask('POST');
      const cookies = answer.headers.getSetCookie();
      expect(cookies[0]).toBe('other=1');
      expect(cookies[1]).toMatch(/^db=[0-9A-F]+\/[0-9A-F]+; Max-Age=60; Path=\/; HttpOnly; SameSite=Lax$/);
      const read = (await (await ask('GET', `a=b; ${cookies[1]?.split(';')[0]}`)).json()) as {
        count: number;
        onReplica: boolean;
      };
      expect(read.count).toBe(written);
      servers.add(read.onReplica);
    }
    expect(servers).toContain(false);
  });

  it('says nothing to a client that only reads, and ignores a cookie of something else', async () => {
    const answer = await ask('GET', 'db=drop%20table');
    expect(answer.status).toBe(200);
    expect(answer.headers.getSetCookie()).toEqual([]);
    const again = await ask('GET', 'db=0/1');
    expect(again.headers.getSetCookie()).toEqual([]);
  });
});
