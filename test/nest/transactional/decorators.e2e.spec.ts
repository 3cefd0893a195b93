import 'reflect-metadata';
import {
  Controller,
  Get,
  Header,
  HttpCode,
  Injectable,
  SetMetadata,
  Sse,
  UseGuards,
  UseInterceptors,
  UsePipes,
  ValidationPipe,
} from '@nestjs/common';
import type { CallHandler, CanActivate, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { Mutation, Query, ResolveField } from '@nestjs/graphql';
import { EventPattern, MessagePattern } from '@nestjs/microservices';
import { OnEvent } from '@nestjs/event-emitter';
import { Cron, Interval, Timeout } from '@nestjs/schedule';
import { SubscribeMessage } from '@nestjs/websockets';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  AsyncConnection,
  AsyncEngine,
  DatabaseModule,
  DeadlockDetectedError,
  SerializationFailureError,
  Transactional,
  TransactionEndedError,
  UseTransaction,
  sql,
} from 'nest-async-engine';
import type { RetryOptions } from 'nest-async-engine';
import { recordSql } from 'nest-async-engine/testing';
import type { SqlLog } from 'nest-async-engine/testing';
import { Barrier, Latch } from '../../support/process/barrier.js';
import { startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

class Guard implements CanActivate {
  canActivate(): boolean {
    return true;
  }
}
class Passing implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler) {
    return next.handle();
  }
}

/** As documentation tools leave their marks: an object under a name of their own. */
const ApiResponse = (status: number) =>
  SetMetadata('swagger/apiResponse', { [status]: { description: 'done' } });

/** A decorator that knows the type of its method would not fit all of these. */
type AnyDecorator = (target: object, key: string | symbol, descriptor: PropertyDescriptor) => void;

const FAMILIES: Readonly<Record<string, unknown>> = {
  '@Get': Get('path'),
  '@HttpCode': HttpCode(202),
  '@Header': Header('x-name', 'value'),
  '@Sse': Sse('events'),
  '@UseGuards': UseGuards(Guard),
  '@UseInterceptors': UseInterceptors(Passing),
  '@UsePipes': UsePipes(ValidationPipe),
  '@SetMetadata': SetMetadata('roles', ['admin']),
  'a custom one of Swagger': ApiResponse(200),
  '@Query of GraphQL': Query(() => String),
  '@Mutation': Mutation(() => String),
  '@ResolveField': ResolveField(() => String),
  '@MessagePattern': MessagePattern('sum'),
  '@EventPattern': EventPattern('happened'),
  '@SubscribeMessage': SubscribeMessage('message'),
  '@Cron': Cron('0 0 * * *'),
  '@Interval': Interval(1_000),
  '@Timeout': Timeout(1_000),
  '@OnEvent': OnEvent('user.created'),
};

/** A method with these decorators, the last one nearest to it. */
function decorated(...decorators: readonly unknown[]): CallableFunction {
  class Host {
    async method(_first: string, _second: number): Promise<void> {}
  }
  const { prototype } = Host;
  const descriptor = Object.getOwnPropertyDescriptor(prototype, 'method') as PropertyDescriptor;
  for (const decorator of decorators.toReversed())
    (decorator as AnyDecorator)(prototype, 'method', descriptor);
  return descriptor.value as CallableFunction;
}

const metadataOf = (method: object): readonly (readonly [unknown, unknown])[] =>
  Reflect.getMetadataKeys(method).map((key: unknown) => [key, Reflect.getMetadata(key, method)] as const);

describe('@Transactional keeps what other decorators leave on the method', () => {
  it.each(Object.entries(FAMILIES))('%s, above and below it', (_name, decorator) => {
    const plain = metadataOf(decorated(decorator));
    expect(plain.length).toBeGreaterThan(0);
    for (const method of [decorated(Transactional(), decorator), decorated(decorator, Transactional())]) {
      expect(metadataOf(method)).toEqual(plain);
      expect([method.name, method.length]).toEqual(['method', 2]);
    }
  });
});

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;
const failures: unknown[] = [];
const RETRY: RetryOptions = { retries: 3, baseDelay: 1, onRetry: (error) => failures.push(error) };

@Injectable()
class Rivals {
  readonly bothHaveRead = new Barrier(2);
  readonly bothHaveOne = new Barrier(2);
  mayGoOn = new Latch();
  /** Told by hooks. */
  readonly stored: string[] = [];
  late: Promise<unknown> = Promise.resolve();
  #attempts = new Map<string, number>();

  constructor(private readonly engine: AsyncEngine) {}

  #attempt(name: string): number {
    const attempt = (this.#attempts.get(name) ?? 0) + 1;
    this.#attempts.set(name, attempt);
    return attempt;
  }

  /** Write skew: what fails is the COMMIT of one of two. */
  @Transactional({ isolationLevel: 'SERIALIZABLE', retry: RETRY })
  async skew(name: string): Promise<void> {
    const attempt = this.#attempt(name);
    this.engine.afterCommit(() => void this.stored.push(name));
    await this.engine.scalar(sql`SELECT count(*) FROM items`);
    await this.engine.execute(insert(name));
    if (attempt === 1) await this.bothHaveRead.arrive();
  }

  @Transactional({ retry: RETRY })
  async cross(first: string, second: string): Promise<void> {
    const attempt = this.#attempt(first);
    this.engine.afterCommit(() => void this.stored.push(first));
    await this.engine.execute(sql`UPDATE counters SET total = total + 1 WHERE name = ${first}`);
    if (attempt === 1) await this.bothHaveOne.arrive();
    await this.engine.execute(sql`UPDATE counters SET total = total + 1 WHERE name = ${second}`);
  }

  @Transactional()
  async forgetful(): Promise<void> {
    await this.engine.execute(insert('in time'));
    this.late = this.mayGoOn.opened.then(() => this.engine.execute(insert('too late')));
    this.late.catch(() => undefined);
  }
}

@Controller()
class Routes {
  constructor(
    private readonly rivals: Rivals,
    private readonly connection: AsyncConnection,
  ) {}

  @Get('timer')
  async timer(): Promise<string> {
    await this.connection.execute(insert('in time'));
    this.rivals.late = this.rivals.mayGoOn.opened.then(() => this.connection.execute(insert('too late')));
    this.rivals.late.catch(() => undefined);
    return 'answered';
  }

  @UseTransaction()
  @Get('used')
  async used(): Promise<string> {
    await this.rivals.forgetful();
    return 'done';
  }
}

describe('@Transactional in an application', () => {
  let database: TestDatabase;
  let running: RunningApp;
  let rivals: Rivals;

  beforeAll(async () => {
    database = await createDatabase('decorators');
    await database.query('CREATE TABLE items (name text)');
    await database.query(
      `CREATE TABLE counters AS SELECT name, 0 AS total FROM unnest(ARRAY['x', 'y']) AS name`,
    );
    const imports = [DatabaseModule.forRoot({ url: database.url })];
    running = await startApp({ imports, controllers: [Routes], providers: [Rivals] });
    rivals = running.get(Rivals);
  });
  beforeEach(async () => {
    failures.length = 0;
    rivals.stored.length = 0;
    rivals.mayGoOn = new Latch();
    await database.query('TRUNCATE items');
  });
  afterEach(() => expectIdle(running.get(AsyncEngine), database));
  afterAll(async () => {
    await running.close();
    await database.drop();
  });

  const begins = (log: SqlLog): number => log.texts.filter((sent) => sent.startsWith('BEGIN')).length;

  it('runs again after a real 40001 at COMMIT, with a fresh BEGIN and each hook once', async () => {
    using log = recordSql(running.get(AsyncEngine));
    await Promise.all([rivals.skew('a'), rivals.skew('b')]);
    expect(failures).toEqual([expect.any(SerializationFailureError)]);
    expect(await storedNames(database)).toEqual(['a', 'b']);
    expect([begins(log), rivals.stored.toSorted()]).toEqual([3, ['a', 'b']]);
  });

  it('runs again after a real 40P01, with a fresh BEGIN and each hook once', async () => {
    using log = recordSql(running.get(AsyncEngine));
    await Promise.all([rivals.cross('x', 'y'), rivals.cross('y', 'x')]);
    expect(failures).toEqual([expect.any(DeadlockDetectedError)]);
    expect(await database.query('SELECT total FROM counters')).toEqual([{ total: 2 }, { total: 2 }]);
    expect([begins(log), rivals.stored.toSorted()]).toEqual([3, ['x', 'y']]);
  });

  it('refuses work that comes after its end, and never autocommits it', async () => {
    await rivals.forgetful();
    rivals.mayGoOn.open();
    await expect(rivals.late).rejects.toBeInstanceOf(TransactionEndedError);
    expect(await storedNames(database)).toEqual(['in time']);
  });

  it('refuses work that comes after its request', async () => {
    expect(await (await fetch(`${running.url}/timer`)).text()).toBe('answered');
    await expectIdle(running.get(AsyncEngine), database);
    rivals.mayGoOn.open();
    await expect(rivals.late).rejects.toMatchObject({ code: 'SCOPE_ENDED' });
    expect(await storedNames(database)).toEqual(['in time']);
  });
});
