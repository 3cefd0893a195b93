import type { Type } from '@nestjs/common';
import { Args, GraphQLModule, Mutation, Query, Resolver } from '@nestjs/graphql';
import type { GqlModuleOptions, GraphQLDriver } from '@nestjs/graphql';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AsyncConnection, AsyncEngine, DatabaseModule, sql } from 'nest-async-engine';
import { startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

// By name, without its types: only the class of the driver is needed.
const MERCURIUS = '@nestjs/mercurius';

@Resolver()
class ItemResolver {
  constructor(private readonly connection: AsyncConnection) {}

  @Query(() => String)
  hello(): string {
    return 'hello';
  }

  @Mutation(() => String)
  async add(@Args('name') name: string): Promise<string> {
    await this.connection.execute(sql`INSERT INTO items VALUES (${name})`);
    if (name === 'bad') throw new Error('on purpose');
    return String(await this.connection.scalar(sql`SELECT pg_current_xact_id()::text`));
  }

  @Mutation(() => String)
  async unique(): Promise<string> {
    await this.connection.execute(sql`INSERT INTO checked VALUES (1), (1)`);
    return 'must not be seen';
  }
}

interface Answer {
  readonly data?: Readonly<Record<string, unknown>> | null;
  readonly errors?: readonly { readonly message: string }[];
}

let database: TestDatabase;
let running: RunningApp;

beforeAll(async () => {
  database = await createDatabase('mercurius');
  await database.query('CREATE TABLE items (name text)');
  await database.query('CREATE TABLE checked (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)');
  const { MercuriusDriver } = (await import(MERCURIUS)) as { MercuriusDriver: Type<GraphQLDriver> };
  const options = { driver: MercuriusDriver, autoSchemaFile: true, allowBatchedQueries: true, jit: 1 };
  running = await startApp(
    {
      imports: [
        GraphQLModule.forRoot(options as GqlModuleOptions),
        DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0 }),
      ],
      providers: [ItemResolver],
    },
    new FastifyAdapter() as unknown as AbstractHttpAdapter,
  );
});
beforeEach(() => database.query('TRUNCATE items'));
afterEach(() => expectIdle(running.get(AsyncEngine), database));
afterAll(async () => {
  await running.close();
  await database.drop();
});

async function post<T = Answer>(body: unknown): Promise<T> {
  const response = await fetch(`${running.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return (await response.json()) as T;
}

describe('a GraphQL operation of Mercurius', () => {
  // Twice: the second is compiled.
  it.each(['first', 'second'])('stores its mutations together, the %s time', async () => {
    const { data } = await post({ query: 'mutation { a: add(name: "a") b: add(name: "b") }' });
    expect(new Set(Object.values(data ?? {})).size).toBe(1);
    expect(await storedNames(database)).toEqual(['a', 'b']);
  });

  it('undoes all of them when one fails, and claims no result', async () => {
    const { data, errors } = await post({ query: 'mutation { a: add(name: "a") b: add(name: "bad") }' });
    expect([data, errors?.map(({ message }) => message)]).toEqual([null, ['on purpose']]);
    expect(await storedNames(database)).toEqual([]);
  });

  it('answers with the failure of its COMMIT', async () => {
    const { data, errors } = await post({ query: 'mutation { unique }' });
    expect([data ?? null, errors?.map(({ message }) => message)]).toEqual([null, ['Conflict']]);
  });

  it('in a batch is undone with the others, and its answer does not claim otherwise', async () => {
    const [first] = await post<Answer[]>([
      { query: 'mutation { add(name: "a") }' },
      { query: 'mutation { add(name: "bad") }' },
    ]);
    expect([first?.data ?? null, first?.errors?.length]).toEqual([null, 1]);
    expect(await storedNames(database)).toEqual([]);
  });
});
