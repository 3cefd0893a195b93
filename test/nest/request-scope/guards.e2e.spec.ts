import { Controller, Get, Injectable, UseGuards } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AsyncConnection, AsyncEngine, DatabaseModule, InjectScopedConnection, sql } from 'nest-async-engine';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;
const isAllowed = (context: ExecutionContext): boolean =>
  !context.switchToHttp().getRequest<{ url: string }>().url.endsWith('?denied');

@Injectable()
class EngineGuard implements CanActivate {
  constructor(private readonly engine: AsyncEngine) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    await this.engine.execute(insert('guard'));
    return isAllowed(context);
  }
}

@Injectable()
class HandleGuard implements CanActivate {
  constructor(@InjectScopedConnection() private readonly connection: AsyncConnection) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    await this.connection.execute(insert('guard'));
    return isAllowed(context);
  }
}

abstract class Routes {
  protected abstract readonly connection: AsyncConnection;

  @Get('engine')
  @UseGuards(EngineGuard)
  async engine(): Promise<void> {
    await this.connection.execute(insert('handler'));
  }

  @Get('handle')
  @UseGuards(HandleGuard)
  async handle(): Promise<void> {
    await this.connection.execute(insert('handler'));
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

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('guards');
  await database.query('CREATE TABLE items (name text)');
});
beforeEach(() => database.query('TRUNCATE items'));
afterAll(() => database.drop());

describe.each(ADAPTERS)('what a guard has written on %s', (_adapter, createAdapter) => {
  let running: RunningApp;
  beforeAll(async () => {
    running = await startApp(
      {
        imports: [DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0 })],
        controllers: [ProviderController, SingletonController],
        providers: [EngineGuard, HandleGuard],
      },
      createAdapter(),
    );
  });
  afterAll(() => running.close());

  const ask = async (path: string): Promise<string[]> => {
    await (await fetch(`${running.url}/${path}`)).text();
    await expectIdle(running.get(AsyncEngine), database);
    return await storedNames(database);
  };

  it.each(['provider/handle', 'singleton/handle', 'provider/engine'])(
    'in the unit of %s is undone when it denies the request',
    async (path) => {
      expect(await ask(`${path}?denied`)).toEqual([]);
      expect(await ask(path)).toEqual(['guard', 'handler']);
    },
  );

  it('through the engine, before the connection was asked for, has committed itself', async () => {
    expect(await ask('singleton/engine?denied')).toEqual(['guard']);
  });
});
