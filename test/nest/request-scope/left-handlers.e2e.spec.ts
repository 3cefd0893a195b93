import { Controller, Get, Injectable, UseInterceptors } from '@nestjs/common';
import type { CallHandler, NestInterceptor } from '@nestjs/common';
import { EMPTY, catchError, defer, from, map, mergeMap, race, take, throwError } from 'rxjs';
import type { Observable } from 'rxjs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AsyncConnection, AsyncEngine, DatabaseModule, InjectScopedConnection, sql } from 'nest-async-engine';
import { Latch } from '../../support/process/barrier.js';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;

/** What the handler, the interceptor and the client of one test tell each other. */
class Stage {
  written = new Latch();
  answered = new Latch();
  late = new Latch<unknown>();
  runs = 0;
}
let stage: Stage;
let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('left_handlers');
  await database.query('CREATE TABLE items (name text)');
});
beforeEach(async () => {
  stage = new Stage();
  await database.query('TRUNCATE items');
});
afterAll(() => database.drop());

/** An interceptor of the application, in the request's scope. */
function interceptor(around: (handled: Observable<unknown>, engine: AsyncEngine) => Observable<unknown>) {
  @Injectable()
  class Around implements NestInterceptor {
    constructor(private readonly engine: AsyncEngine) {}

    intercept(_context: unknown, next: CallHandler): Observable<unknown> {
      return around(next.handle(), this.engine);
    }
  }
  return Around;
}

const written = (): Observable<unknown> => from(stage.written.opened);

const Fallback = interceptor((handled, engine) =>
  handled.pipe(catchError(() => defer(() => engine.execute(insert('fallback'))).pipe(map(() => 'fallback')))),
);
const Impatient = interceptor((handled) => race(handled, written().pipe(map(() => 'too slow'))));
const Again = interceptor((handled) => {
  const failing = race(handled, written().pipe(mergeMap(() => throwError(() => new Error('too slow')))));
  return failing.pipe(catchError(() => handled));
});
const First = interceptor((handled) => handled.pipe(take(1)));

@Controller()
class Handlers {
  constructor(
    @InjectScopedConnection() private readonly connection: AsyncConnection,
    private readonly engine: AsyncEngine,
  ) {}

  @Get('fails')
  @UseInterceptors(Fallback)
  async fails(): Promise<never> {
    await this.engine.execute(insert('half'));
    throw new Error('on purpose');
  }

  @Get('breaks')
  @UseInterceptors(Fallback)
  async breaks(): Promise<unknown> {
    return await this.connection.execute(sql`SELECT 1/0`);
  }

  @Get('slow')
  @UseInterceptors(Impatient)
  async slow(): Promise<string> {
    await this.connection.execute(insert('half'));
    stage.written.open();
    await stage.answered.opened;
    await this.connection.execute(insert('late')).catch((error: unknown) => stage.late.open(error));
    return 'not seen';
  }

  @Get('again')
  @UseInterceptors(Again)
  async again(): Promise<string> {
    stage.runs += 1;
    await this.connection.execute(insert(`run ${stage.runs}`));
    if (stage.runs > 1) return 'again';
    stage.written.open();
    return await new Promise(() => undefined);
  }

  @Get('first')
  @UseInterceptors(First)
  async first(): Promise<string> {
    await this.connection.execute(insert('whole'));
    return 'first';
  }

  @Get('empty')
  empty(): Observable<unknown> {
    return from(this.connection.execute(insert('empty'))).pipe(mergeMap(() => EMPTY));
  }

  @Get('intercepted')
  @UseInterceptors(First)
  intercepted(): Observable<unknown> {
    return this.empty();
  }
}

describe.each(ADAPTERS)('a handler on %s', (_adapter, createAdapter) => {
  async function answerTo(path: string): Promise<string> {
    const running = await startApp(
      {
        imports: [DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0 })],
        controllers: [Handlers],
      },
      createAdapter(),
    );
    const response = await fetch(`${running.url}/${path}`);
    const answer = `${response.status} ${await response.text()}`;
    stage.answered.open();
    if (path === 'slow') expect(await stage.late.opened).toMatchObject({ code: 'SCOPE_ENDED' });
    await expectIdle(running.get(AsyncEngine), database);
    await running.close();
    return answer;
  }

  it.each(['fails', 'breaks'])(
    'that %s is undone where an interceptor answers for it, whose own row is stored',
    async (path) => {
      expect(await answerTo(path)).toBe('200 fallback');
      expect(await storedNames(database)).toEqual(['fallback']);
    },
  );

  it('that an interceptor does not wait for is undone, and refused what it does later', async () => {
    expect(await answerTo('slow')).toBe('200 too slow');
    expect(await storedNames(database)).toEqual([]);
  });

  it('that an interceptor has left is undone before the interceptor runs it again', async () => {
    expect(await answerTo('again')).toBe('200 again');
    expect(await storedNames(database)).toEqual(['run 2']);
  });

  it('that an interceptor leaves with its value is stored', async () => {
    expect(await answerTo('first')).toBe('200 first');
    expect(await storedNames(database)).toEqual(['whole']);
  });

  it.each(['empty', 'intercepted'])('whose Observable gives no value is undone: %s', async (path) => {
    expect(await answerTo(path)).toMatch(/^500/);
    expect(await storedNames(database)).toEqual([]);
  });
});
