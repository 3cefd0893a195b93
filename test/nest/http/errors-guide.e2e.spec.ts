import { readFileSync } from 'node:fs';
import { Catch, ConflictException, ConsoleLogger, Controller, Get, Injectable, Param } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import { APP_FILTER, BaseExceptionFilter } from '@nestjs/core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import * as library from 'nest-async-engine';
import {
  AsyncEngine,
  DatabaseExceptionFilter,
  DatabaseModule,
  EngineError,
  InjectScopedConnection,
  PendingRollbackError,
  SerializationFailureError,
  Transactional,
  UnexpectedRollbackError,
  UniqueViolationError,
  isTransient,
  sql,
} from 'nest-async-engine';
import type { AsyncConnection } from 'nest-async-engine';
import { startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const ERRORS = new Map(
  Object.values(library)
    .filter((value) => typeof value === 'function' && value.prototype instanceof EngineError)
    .map((type) => new (type as new (message: string) => EngineError)('SELECT secret'))
    .map((error) => [error.code, error] as const),
);

/** Those that only say that an earlier error has undone the transaction. */
const CAUSED: Readonly<Record<string, Error>> = {
  transient: new UnexpectedRollbackError('x', { cause: new SerializationFailureError('x') }),
  pending: new PendingRollbackError('x', { cause: new SerializationFailureError('x') }),
  taken: new UnexpectedRollbackError('x', { cause: new UniqueViolationError('x') }),
};

@Injectable()
class Accounts {
  attempts = 0;

  constructor(private readonly engine: AsyncEngine) {}

  @Transactional()
  async add(email: string): Promise<void> {
    try {
      await this.engine.execute(sql`INSERT INTO accounts (email) VALUES (${email})`);
    } catch (error) {
      if (error instanceof UniqueViolationError && error.constraint === 'accounts_email_key') {
        throw new ConflictException('this address has an account');
      }
      throw error;
    }
  }

  @Transactional({ retry: { retries: 2, baseDelay: 1, retryOn: isTransient } })
  async conflict(): Promise<void> {
    this.attempts += 1;
    await this.engine.execute(sql`DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$`);
  }
}

@Controller()
class Routes {
  constructor(
    private readonly engine: AsyncEngine,
    private readonly accounts: Accounts,
  ) {}

  @Get('thrown/:code')
  thrown(@Param('code') code: string): never {
    throw ERRORS.get(code) ?? CAUSED[code] ?? new Error('not of the database');
  }

  @Get('taken')
  async taken(): Promise<void> {
    await this.engine.execute(sql`INSERT INTO accounts VALUES (3, 'ann')`);
  }

  @Get('translated')
  async translated(): Promise<void> {
    await this.accounts.add('ann');
  }

  @Get('conflict')
  async conflict(): Promise<void> {
    await this.accounts.conflict();
  }

  @Get('malformed')
  async malformed(): Promise<void> {
    await this.engine.execute(sql`SELECT ${'seven'}::uuid`);
  }
}

@Controller()
class Committed {
  constructor(@InjectScopedConnection() private readonly connection: AsyncConnection) {}

  @Get('deferred')
  async deferred(): Promise<string> {
    await this.connection.execute(sql`INSERT INTO checked VALUES (1), (1)`);
    return 'must not be seen';
  }
}

@Catch()
class Everything implements ExceptionFilter {
  catch(_error: unknown, host: ArgumentsHost): void {
    host.switchToHttp().getResponse<{ sendStatus(code: number): void }>().sendStatus(418);
  }
}

@Catch(UniqueViolationError)
class TakenFilter extends BaseExceptionFilter {
  override catch({ code, constraint }: UniqueViolationError, host: ArgumentsHost): void {
    const field = constraint === 'accounts_email_key' ? 'email' : undefined;
    super.catch(new ConflictException({ statusCode: 409, code, field }), host);
  }
}

class Lines extends ConsoleLogger {
  readonly lines: string[] = [];

  override log(): void {
    // Of the start: not what is looked at.
  }

  override warn(message: unknown, ...rest: unknown[]): void {
    this.lines.push(`warn ${String(rest.at(-1))} ${String(message)}`);
  }

  override error(message: unknown, ...rest: unknown[]): void {
    this.lines.push(`error ${String(rest.at(-1))} ${String(message)}`);
  }
}

let database: TestDatabase;
const logger = new Lines();

beforeAll(async () => {
  database = await createDatabase('errors_guide');
  await database.query(`CREATE TABLE accounts (id INT PRIMARY KEY DEFAULT 2, email TEXT UNIQUE)`);
  await database.query(`INSERT INTO accounts VALUES (1, 'ann')`);
  await database.query(`CREATE TABLE checked (n INT UNIQUE DEFERRABLE INITIALLY DEFERRED)`);
});
beforeEach(() => logger.lines.splice(0));
afterAll(() => database.drop());

const start = (...filters: readonly unknown[]): Promise<RunningApp> =>
  startApp(
    {
      imports: [DatabaseModule.forRoot({ url: database.url })],
      controllers: [Routes, Committed],
      providers: [
        Accounts,
        ...filters.map((useClass) => ({ provide: APP_FILTER, useClass: useClass as typeof Everything })),
      ],
    },
    undefined,
    (app) => app.useLogger(logger),
  );

/** Status and codes of each row of the table of the guide. */
function tableOfGuide(): Map<string, number> {
  const page = readFileSync(new URL('../../../docs/guide/http-errors.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| (\d{3}) +\| `[^`]*` *\|(.*)\|$/gm)];
  return new Map(
    rows.flatMap(([, status, codes = '']) =>
      [...codes.matchAll(/`([A-Z_]+)`/g)].map(([, code = '']) => [code, Number(status)] as const),
    ),
  );
}

describe('the answers of DatabaseExceptionFilter', () => {
  let running: RunningApp;
  beforeAll(async () => {
    running = await start(DatabaseExceptionFilter);
  });
  afterAll(() => running.close());
  const ask = (path: string): Promise<Response> => fetch(`${running.url}/${path}`);

  it('are those of the table in the guide, and 500 for every other class', async () => {
    const table = tableOfGuide();
    expect(table.size).toBe(18);
    const found = new Map<string, number>();
    for (const code of ERRORS.keys()) {
      const response = await ask(`thrown/${code}`);
      expect(await response.text()).not.toContain('secret');
      expect(response.headers.get('retry-after')).toBe(response.status === 503 ? '1' : null);
      if (response.status !== 500) found.set(code, response.status);
    }
    expect(found).toEqual(table);
  });

  it('follow the cause of a rollback to a 503, and no further', async () => {
    const statuses = await Promise.all(
      Object.keys(CAUSED).map(async (name) => [name, (await ask(`thrown/${name}`)).status]),
    );
    expect(Object.fromEntries(statuses)).toEqual({ transient: 503, pending: 503, taken: 500 });
  });

  it('are 500 for a value that the server cannot read', async () => {
    expect((await ask('malformed')).status).toBe(500);
  });

  it('come for the COMMIT of a request as well', async () => {
    const response = await ask('deferred');
    expect(await response.json()).toEqual({ statusCode: 409, message: 'Conflict', code: 'UNIQUE_VIOLATION' });
  });

  it('leave a translated error to Nest', async () => {
    const response = await ask('translated');
    expect(await response.json()).toMatchObject({ statusCode: 409, message: 'this address has an account' });
    expect(running.get(AsyncEngine).pool.checkedOut()).toBe(0);
  });

  it('come after the retries', async () => {
    expect((await ask('conflict')).status).toBe(503);
    expect(running.get(Accounts).attempts).toBe(3);
  });

  it('are a warning for a 503, an error for a 500, and no line for what is the client’s', async () => {
    await ask('thrown/UNIQUE_VIOLATION');
    expect(logger.lines).toEqual([]);
    await ask('thrown/POOL_TIMEOUT');
    expect(logger.lines.splice(0)).toEqual(['warn DatabaseExceptionFilter PoolTimeoutError: SELECT secret']);
    await ask('thrown/AFTER_COMMIT');
    expect(logger.lines).toEqual([expect.stringMatching(/^error ExceptionsHandler .*SELECT secret/)]);
  });
});

describe('a filter beside DatabaseExceptionFilter', () => {
  const statuses = async ({ url }: RunningApp): Promise<number[]> => [
    (await fetch(`${url}/thrown/UNIQUE_VIOLATION`)).status,
    (await fetch(`${url}/thrown/other`)).status,
  ];

  it('that catches everything must be registered in front of it', async () => {
    const inFront = await start(Everything, DatabaseExceptionFilter);
    expect(await statuses(inFront)).toEqual([409, 418]);
    await inFront.close();
    const behind = await start(DatabaseExceptionFilter, Everything);
    expect(await statuses(behind)).toEqual([418, 418]);
    await behind.close();
  });

  it('by useGlobalFilters() comes behind those of APP_FILTER', async () => {
    const metadata = {
      imports: [DatabaseModule.forRoot({ url: database.url })],
      controllers: [Routes],
      providers: [Accounts, { provide: APP_FILTER, useClass: DatabaseExceptionFilter }],
    };
    const alone = await startApp(metadata, undefined, (app) => app.useGlobalFilters(new Everything()));
    expect(await statuses(alone)).toEqual([418, 418]);
    await alone.close();
    const followed = await startApp(metadata, undefined, (app) =>
      app.useGlobalFilters(new Everything(), new DatabaseExceptionFilter()),
    );
    expect(await statuses(followed)).toEqual([409, 418]);
    await followed.close();
  });

  it('for a narrower class answers by the constraint', async () => {
    const running = await start(DatabaseExceptionFilter, TakenFilter);
    const response = await fetch(`${running.url}/taken`);
    expect(await response.json()).toEqual({ statusCode: 409, code: 'UNIQUE_VIOLATION', field: 'email' });
    expect((await fetch(`${running.url}/thrown/NO_RESULT_FOUND`)).status).toBe(404);
    await running.close();
  });
});
