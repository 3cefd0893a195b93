import { ForbiddenException, Injectable, UseGuards } from '@nestjs/common';
import type { CanActivate, INestApplication } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { ApolloDriver } from '@nestjs/apollo';
import type { ApolloDriverConfig } from '@nestjs/apollo';
import {
  Args,
  GraphQLModule,
  Mutation,
  ObjectType,
  Field,
  Parent,
  Query,
  ResolveField,
  Resolver,
} from '@nestjs/graphql';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  AsyncConnection,
  AsyncEngine,
  DatabaseExceptionFilter,
  DatabaseModule,
  Transactional,
  sql,
} from 'nest-async-engine';
import { Barrier } from '../../support/process/barrier.js';
import { startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;
const XID = sql`SELECT pg_current_xact_id()::text`;

@Injectable()
class Meeting {
  point = new Barrier(3);
}

@Injectable()
class ItemStore {
  constructor(private readonly engine: AsyncEngine) {}

  @Transactional()
  async add(name: string): Promise<void> {
    await this.engine.execute(insert(name));
  }
}

@Injectable()
class Denied implements CanActivate {
  canActivate(): boolean {
    throw new ForbiddenException();
  }
}

@ObjectType()
class Part {
  @Field()
  outer!: string;
}

@Resolver(() => Part)
class PartResolver {
  constructor(
    private readonly connection: AsyncConnection,
    private readonly store: ItemStore,
    private readonly meeting: Meeting,
  ) {}

  @Query(() => String)
  async meet(): Promise<string> {
    // Nobody goes on before all three fields run.
    await this.meeting.point.arrive();
    return String(await this.connection.scalar(XID));
  }

  @Query(() => Part)
  async part(): Promise<Part> {
    return { outer: String(await this.connection.scalar(XID)) };
  }

  @ResolveField(() => Boolean)
  async isSameUnit(@Parent() { outer }: Part): Promise<boolean> {
    return outer === (await this.connection.scalar(XID));
  }

  @Mutation(() => String)
  async add(@Args('name') name: string): Promise<string> {
    await this.store.add(name);
    if (name === 'bad') throw new Error('on purpose');
    return String(await this.connection.scalar(XID));
  }

  @Mutation(() => String)
  async unique(@Args('n') n: number): Promise<string> {
    await this.connection.execute(sql`INSERT INTO checked VALUES (${n})`);
    return 'must not be seen';
  }

  @Mutation(() => String)
  @UseGuards(Denied)
  denied(): string {
    return 'never';
  }
}

/** Without the connection: each of its transactions is its own. */
@Resolver()
class PlainResolver {
  constructor(private readonly store: ItemStore) {}

  @Mutation(() => String)
  async plain(@Args('name') name: string): Promise<string> {
    await this.store.add(name);
    if (name === 'bad') throw new Error('on purpose');
    return name;
  }
}

interface Answer {
  readonly data?: Readonly<Record<string, unknown>> | null;
  readonly errors?: readonly { readonly message: string; readonly extensions: { readonly code: string } }[];
}

let database: TestDatabase;
let running: RunningApp;
let app: INestApplication;

beforeAll(async () => {
  database = await createDatabase('graphql');
  await database.query('CREATE TABLE items (name text)');
  await database.query('CREATE TABLE checked (n float8, UNIQUE (n) DEFERRABLE INITIALLY DEFERRED)');
  running = await startApp({
    imports: [
      GraphQLModule.forRoot<ApolloDriverConfig>({
        driver: ApolloDriver,
        autoSchemaFile: true,
        graphiql: false,
        includeStacktraceInErrorResponses: false,
      }),
      DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0 }),
    ],
    providers: [
      PartResolver,
      PlainResolver,
      ItemStore,
      Meeting,
      { provide: APP_FILTER, useClass: DatabaseExceptionFilter },
    ],
  });
  ({ app } = running);
});
beforeEach(async () => {
  await database.query('TRUNCATE items, checked');
  app.get(Meeting).point = new Barrier(3);
});
afterEach(() => expectIdle(app.get(AsyncEngine), database));
afterAll(async () => {
  await running.close();
  await database.drop();
});

async function ask(query: string): Promise<Answer> {
  const response = await fetch(`${running.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  });
  return (await response.json()) as Answer;
}

describe('a GraphQL operation whose resolver injects the connection', () => {
  it('resolves parallel fields in one transaction', async () => {
    const { data } = await ask('{ a: meet b: meet c: meet }');
    expect(new Set(Object.values(data ?? {})).size).toBe(1);
  });

  it('resolves the fields below in the same transaction', async () => {
    expect(await ask('{ part { isSameUnit } }')).toEqual({ data: { part: { isSameUnit: true } } });
  });

  it('stores the mutations of an operation together', async () => {
    const { data } = await ask('mutation { a: add(name: "a") b: add(name: "b") }');
    expect(new Set(Object.values(data ?? {})).size).toBe(1);
    expect(await storedNames(database)).toEqual(['a', 'b']);
  });

  it('undoes all of them when one fails, and claims no result', async () => {
    const { data, errors } = await ask('mutation { a: add(name: "a") b: add(name: "bad") }');
    expect(await storedNames(database)).toEqual([]);
    expect(data).toBeNull();
    expect(errors?.map(({ message }) => message)).toEqual(['on purpose']);
  });

  it('answers with the failure of its COMMIT', async () => {
    const { data, errors } = await ask('mutation { a: unique(n: 1) b: unique(n: 1) }');
    expect(data).toBeNull();
    expect(errors).toMatchObject([{ message: 'Conflict', extensions: { code: 'UNIQUE_VIOLATION' } }]);
    expect(await database.query('SELECT * FROM checked')).toEqual([]);
  });

  it('runs nothing when a guard denies it', async () => {
    const { errors } = await ask('mutation { denied }');
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  });

  it('takes nothing from the pool for a query that is not valid', async () => {
    const before = app.get(AsyncEngine).pool.status();
    expect((await ask('{ nothing }')).errors).toHaveLength(1);
    expect(app.get(AsyncEngine).pool.status()).toBe(before);
  });
});

describe('a GraphQL operation without the connection', () => {
  it('leaves each @Transactional method its own transaction, whatever fails after it', async () => {
    const { errors } = await ask('mutation { a: plain(name: "a") b: plain(name: "bad") }');
    expect(errors).toHaveLength(1);
    expect(await storedNames(database)).toEqual(['a', 'bad']);
  });
});

describe('DatabaseExceptionFilter over GraphQL', () => {
  it('answers with the status and the code of the error, without its statement', async () => {
    await database.query('ALTER TABLE checked ADD CONSTRAINT small CHECK (n < 10)');
    const answer = await ask('mutation { unique(n: 11) }');
    expect(answer.errors).toMatchObject([
      {
        message: 'Unprocessable Entity',
        extensions: { originalError: { statusCode: 422, code: 'CHECK_VIOLATION' } },
      },
    ]);
    expect(JSON.stringify(answer)).not.toContain('INSERT');
  });
});
