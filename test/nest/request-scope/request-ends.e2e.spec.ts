import { once } from 'node:events';
import {
  Controller,
  ForbiddenException,
  Get,
  Injectable,
  Param,
  ParseIntPipe,
  Sse,
  UseGuards,
} from '@nestjs/common';
import type { CanActivate } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { map } from 'rxjs';
import type { Observable } from 'rxjs';
import { AsyncConnection, AsyncEngine, DatabaseModule, sql } from 'nest-async-engine';
import type { Executable, Row } from 'nest-async-engine';
import { fromQuery } from 'nest-async-engine/rx';
import { Latch, eventually } from '../../support/process/barrier.js';
import { openRequest } from '../../support/nest/http.js';
import { without } from '../../support/nest/nest-version.js';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

/** Where a slow handler tells that it runs, and waits until the test lets it go on. */
@Injectable()
class Stage {
  entered = new Latch<void>();
  mayGoOn = new Latch<void>();
  ended = new Latch<unknown>();

  reset(): void {
    this.entered = new Latch();
    this.mayGoOn = new Latch();
    this.ended = new Latch();
  }
}

@Injectable()
class Denied implements CanActivate {
  canActivate(): boolean {
    throw new ForbiddenException();
  }
}

const INSERT = sql`INSERT INTO visits DEFAULT VALUES`;
const MANY = sql<{ n: number }>`SELECT n, repeat('x', 500) AS filler FROM generate_series(1, 20000) AS n`;

/** The same routes over either handle: an engine in a singleton, or the request's own connection. */
abstract class Routes {
  protected abstract readonly handle: AsyncEngine | AsyncConnection;
  protected abstract readonly stage: Stage;

  protected run(statement: Executable<Row>): Promise<Row[]> {
    return this.handle.execute(statement).then((result) => (result.returnsRows ? result.all() : []));
  }

  @Get('ok')
  async ok(): Promise<string> {
    await this.run(INSERT);
    return 'ok';
  }

  @Get('denied')
  @UseGuards(Denied)
  async denied(): Promise<void> {
    await this.run(INSERT);
  }

  @Get('number/:id')
  async number(@Param('id', ParseIntPipe) id: number): Promise<number> {
    await this.run(INSERT);
    return id;
  }

  @Get('throws')
  async throws(): Promise<void> {
    await this.run(INSERT);
    throw new Error('after the statement');
  }

  @Get('slow')
  async slow(): Promise<void> {
    try {
      await this.run(INSERT);
      this.stage.entered.open();
      await this.stage.mayGoOn.opened;
      await this.run(INSERT);
      this.stage.ended.open('stored');
    } catch (error) {
      this.stage.ended.open(error);
      throw error;
    }
  }

  @Sse('events')
  events(): Observable<{ data: unknown }> {
    return fromQuery(this.handle, MANY).pipe(map((row) => ({ data: row })));
  }

  @Get('body')
  async *body(): AsyncGenerator<string> {
    for await (const row of this.handle.stream(MANY)) yield `${JSON.stringify(row)}\n`;
  }
}

@Controller('singleton')
class SingletonController extends Routes {
  constructor(
    protected readonly handle: AsyncEngine,
    protected readonly stage: Stage,
  ) {
    super();
  }
}

@Controller('request')
class RequestController extends Routes {
  constructor(
    protected readonly handle: AsyncConnection,
    protected readonly stage: Stage,
  ) {
    super();
  }
}

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase();
  await database.query('CREATE TABLE visits (id int GENERATED ALWAYS AS IDENTITY)');
});
afterAll(() => database.drop());

const VARIANTS = [
  ['singleton', 'onSuccess'],
  ['singleton', 'explicit'],
  ['request', 'onSuccess'],
  ['request', 'explicit'],
] as const;

describe.each(ADAPTERS)('every end of a request on %s', (_adapter, createAdapter) => {
  describe.each(VARIANTS)('with the %s handle and commit: %s', (path, commit) => {
    // Nobody commits in these handlers: with `explicit`, what the request's own connection wrote is undone.
    const kept = path === 'singleton' || commit === 'onSuccess' ? 1 : 0;
    const warnings: string[] = [];
    const logger = {
      log: () => undefined,
      warn: (line: string) => void warnings.push(line),
      error: () => undefined,
    };

    let running: RunningApp;
    let engine: AsyncEngine;
    let stage: Stage;

    beforeAll(async () => {
      running = await startApp(
        {
          imports: [
            DatabaseModule.forRoot({
              url: database.url,
              poolSize: 2,
              maxOverflow: 0,
              logger,
              requestScope: { commit },
            }),
          ],
          controllers: [SingletonController, RequestController],
          providers: [Stage],
        },
        createAdapter(),
      );
      engine = running.get(AsyncEngine);
      stage = running.get(Stage);
    });
    beforeEach(async () => {
      stage.reset();
      warnings.length = 0;
      await database.query('TRUNCATE visits');
    });
    afterEach(async () => {
      await eventually(() => expect(engine.pool.checkedOut()).toBe(0), 1_000);
      const sessions = await database.sessions();
      expect(sessions.filter(({ state }) => state !== 'idle')).toEqual([]);
    });
    afterAll(() => running.close());

    const stored = async (): Promise<number> => (await database.query('SELECT 1 FROM visits')).length;
    const status = async (route: string): Promise<number> =>
      (await fetch(`${running.url}/${path}/${route}`)).status;

    it('200: the row is stored, or undone with a warning that names the route', async () => {
      expect(await status('ok')).toBe(200);
      await eventually(async () => expect(await stored()).toBe(kept));
      await eventually(() => expect(engine.pool.checkedOut()).toBe(0));
      expect(warnings).toEqual(
        kept === 1 ? [] : [expect.stringMatching(/^GET \/request\/ok ended with a transaction/)],
      );
    });

    it('403 by a guard: nothing runs', async () => {
      expect(await status('denied')).toBe(403);
      expect(await stored()).toBe(0);
    });

    it('400 by a pipe: nothing runs', async () => {
      expect(await status('number/nan')).toBe(400);
      expect(await stored()).toBe(0);
    });

    it('404: nothing is taken from the pool', async () => {
      const before = engine.pool.status();
      expect(await status('nowhere')).toBe(404);
      expect(engine.pool.status()).toBe(before);
    });

    it('a throwing handler: an autocommitted row stays, one of the request is rolled back', async () => {
      expect(await status('throws')).toBe(500);
      expect(await stored()).toBe(path === 'singleton' ? 1 : 0);
    });

    it('a client that hangs up does not pull the connection from under a promise handler', async () => {
      const request = openRequest(`${running.url}/${path}/slow`);
      await stage.entered.opened;
      request.hangUp();
      // The server notices the end of the socket in its own time; an answered request comes after that.
      await status('ok');
      stage.mayGoOn.open();
      expect(await stage.ended.opened).toBe('stored');
      await eventually(async () => expect(await stored()).toBe(3 * kept));
    });

    it('a client that hangs up during SSE frees cursor, transaction and connection', async () => {
      const request = openRequest(`${running.url}/${path}/events`);
      const response = await request.response;
      await once(response, 'data');
      expect(engine.pool.checkedOut()).toBe(1);
      request.hangUp();
      await eventually(() => expect(engine.pool.checkedOut()).toBe(0), 1_000);
    });

    it('a client that hangs up during a streamed body frees cursor, transaction and connection', async ({
      skip,
    }) => {
      skip(...without('async generators as handlers'));
      const request = openRequest(`${running.url}/${path}/body`);
      const response = await request.response;
      await once(response, 'data');
      expect(engine.pool.checkedOut()).toBe(1);
      request.hangUp();
      await eventually(() => expect(engine.pool.checkedOut()).toBe(0), 1_000);
    });

    it('a streamed body that is read to its end is whole', async ({ skip }) => {
      skip(...without('async generators as handlers'));
      const text = await (await fetch(`${running.url}/${path}/body`)).text();
      expect(text.match(/\n/g)?.length).toBe(20_000);
    });
  });
});
