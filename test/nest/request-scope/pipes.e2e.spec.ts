import {
  BadRequestException,
  Controller,
  Get,
  Injectable,
  Module,
  Param,
  UseInterceptors,
} from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor, PipeTransform } from '@nestjs/common';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AsyncConnection, AsyncEngine, DatabaseModule, InjectScopedConnection, sql } from 'nest-async-engine';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;

class PassOn implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler) {
    return next.handle();
  }
}

@Injectable()
class Audit {
  constructor(private readonly engine: AsyncEngine) {}

  async note(value: string): Promise<string> {
    await this.engine.execute(insert('pipe'));
    if (value === 'denied') throw new BadRequestException();
    return value;
  }
}

@Injectable()
class EnginePipe implements PipeTransform {
  constructor(private readonly audit: Audit) {}

  async transform(value: string): Promise<string> {
    return await this.audit.note(value);
  }
}

@Injectable()
class HandlePipe implements PipeTransform {
  constructor(@InjectScopedConnection() private readonly connection: AsyncConnection) {}

  async transform(value: string): Promise<string> {
    await this.connection.execute(insert('pipe'));
    if (value === 'denied') throw new BadRequestException();
    return value;
  }
}

abstract class Routes {
  protected abstract readonly connection: AsyncConnection;

  @Get('engine/:value')
  async engine(@Param('value', EnginePipe) value: string): Promise<string> {
    return await this.add(value);
  }

  @Get('engine-and-interceptor/:value')
  @UseInterceptors(PassOn)
  async intercepted(@Param('value', EnginePipe) value: string): Promise<string> {
    return await this.add(value);
  }

  @Get('handle/:value')
  async handle(@Param('value', HandlePipe) value: string): Promise<string> {
    return await this.add(value);
  }

  @Get('plain/:value')
  async plain(@Param('value') value: string): Promise<string> {
    return await this.add(value);
  }

  private async add(value: string): Promise<string> {
    await this.connection.execute(insert('handler'));
    if (value === 'fails') throw new Error('mine');
    return 'added';
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

@Controller('engine-only')
class EngineController {
  @Get(':value')
  value(@Param('value', EnginePipe) value: string): string {
    if (value === 'fails') throw new Error('mine');
    return value;
  }
}

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('pipes');
  await database.query('CREATE TABLE items (name text)');
});
beforeEach(() => database.query('TRUNCATE items'));
afterAll(() => database.drop());

@Module({
  controllers: [ProviderController, SingletonController, EngineController],
  providers: [Audit, EnginePipe, HandlePipe],
})
class RoutesModule {}

const imports = () => [
  DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0 }),
  RoutesModule,
];

async function ask(running: RunningApp, path: string): Promise<string[]> {
  await (await fetch(`${running.url}/${path}`)).text();
  await expectIdle(running.get(AsyncEngine), database);
  return await storedNames(database);
}

describe.each(ADAPTERS)('what a pipe has written on %s', (_adapter, createAdapter) => {
  let running: RunningApp;
  beforeAll(async () => {
    running = await startApp({ imports: imports() }, createAdapter());
  });
  afterAll(() => running.close());

  const WAYS = ['provider', 'singleton'].flatMap((holder) =>
    ['engine', 'engine-and-interceptor', 'handle'].map((route) => `${holder}/${route}`),
  );

  it.each(WAYS)('is a part of the unit of %s', async (route) => {
    expect(await ask(running, `${route}/denied`)).toEqual([]);
    expect(await ask(running, `${route}/fails`)).toEqual([]);
    expect(await ask(running, `${route}/good`)).toEqual(['handler', 'pipe']);
  });

  it('through the engine stays where the controller does not hold the connection', async () => {
    expect(await ask(running, 'engine-only/fails')).toEqual(['pipe']);
  });
});

describe('what a global pipe that main.ts makes has written', () => {
  class MadeByHand implements PipeTransform {
    constructor(private readonly held: Audit | AsyncEngine) {}

    async transform(value: string): Promise<string> {
      if (this.held instanceof Audit) return await this.held.note(value);
      await this.held.execute(insert('pipe'));
      if (value === 'denied') throw new BadRequestException();
      return value;
    }
  }

  it.each([AsyncEngine, Audit])('with %o is a part of the unit', async (type) => {
    const running = await startApp({ imports: imports() }, undefined, (app) =>
      app.useGlobalPipes(new MadeByHand(app.get<Audit | AsyncEngine>(type, { strict: false }))),
    );
    expect(await ask(running, 'singleton/plain/denied')).toEqual([]);
    expect(await ask(running, 'singleton/plain/fails')).toEqual([]);
    expect(await ask(running, 'singleton/plain/good')).toEqual(['handler', 'pipe']);
    await running.close();
  });
});
