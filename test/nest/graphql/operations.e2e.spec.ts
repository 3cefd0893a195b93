import http from 'node:http';
import { Injectable } from '@nestjs/common';
import type { INestApplication } from '@nestjs/common';
import { ApolloDriver } from '@nestjs/apollo';
import type { ApolloDriverConfig } from '@nestjs/apollo';
import {
  Args,
  Field,
  GraphQLModule,
  Mutation,
  ObjectType,
  Parent,
  Query,
  ResolveField,
  Resolver,
} from '@nestjs/graphql';
import type { ApolloServerPlugin } from '@apollo/server';
import { unwrapResolverError } from '@apollo/server/errors';
import { createClient } from 'graphql-ws';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { AsyncConnection, AsyncEngine, DatabaseModule, ProgrammingError, sql } from 'nest-async-engine';
import { MemoryLogger } from '../../support/items.js';
import { Latch, eventually } from '../../support/process/barrier.js';
import { startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;
const XID = sql`SELECT pg_current_xact_id()::text`;

@Injectable()
class Stage {
  entered = new Latch();
  mayGoOn = new Latch();
}

/** A singleton: its statements run wherever its caller is. */
@Injectable()
class Ids {
  constructor(private readonly engine: AsyncEngine) {}

  async current(): Promise<string> {
    return String(await this.engine.scalar(XID));
  }
}

@ObjectType()
class OperationPart {
  @Field()
  outer!: string;
}

@Resolver(() => OperationPart)
class ItemResolver {
  constructor(
    private readonly connection: AsyncConnection,
    private readonly ids: Ids,
    private readonly stage: Stage,
  ) {}

  @Query(() => OperationPart)
  async part(): Promise<OperationPart> {
    return { outer: String(await this.connection.scalar(XID)) };
  }

  @ResolveField(() => [Boolean])
  async isSameUnit(@Parent() { outer }: OperationPart): Promise<boolean[]> {
    return [outer === (await this.connection.scalar(XID)), outer === (await this.ids.current())];
  }

  @Mutation(() => String)
  async add(@Args('name') name: string): Promise<string> {
    await this.connection.execute(insert(name));
    if (name === 'bad') throw new Error('on purpose');
    return name;
  }

  @Mutation(() => String)
  async hold(@Args('name') name: string): Promise<string> {
    this.stage.entered.open();
    await this.stage.mayGoOn.opened;
    return await this.add(name);
  }

  @Mutation(() => String)
  async wrong(): Promise<string> {
    return String(await this.connection.scalar(sql`SELECT 1 FROM secret_table`));
  }

  @Mutation(() => String)
  async unique(): Promise<string> {
    await this.connection.execute(sql`INSERT INTO checked VALUES (1), (1)`);
    return 'must not be seen';
  }
}

interface Answer {
  readonly data?: Readonly<Record<string, unknown>> | null;
  readonly errors?: readonly { readonly message: string; readonly extensions?: object }[];
}

/** Fails in the middle of an operation, so that Apollo sends no answer of it. */
const breaking: ApolloServerPlugin = {
  requestDidStart: async () => ({
    willSendResponse: async ({ request }) => {
      if (request.operationName === 'broken') throw new Error('a plugin of the application');
    },
  }),
};

const log = new MemoryLogger();
/** What the application's formatError was given. */
const formatted: unknown[] = [];
let database: TestDatabase;
let running: RunningApp;
let app: INestApplication;
let stage: Stage;

beforeAll(async () => {
  database = await createDatabase('operations');
  await database.query('CREATE TABLE items (name text)');
  await database.query(
    'CREATE TABLE checked (n int, CONSTRAINT secret UNIQUE (n) DEFERRABLE INITIALLY DEFERRED)',
  );
  running = await startApp({
    imports: [
      GraphQLModule.forRoot<ApolloDriverConfig>({
        driver: ApolloDriver,
        autoSchemaFile: true,
        graphiql: false,
        allowBatchedHttpRequests: true,
        subscriptions: { 'graphql-ws': true },
        plugins: [breaking],
        formatError: ({ message }, error) => {
          formatted.push(unwrapResolverError(error));
          return { message: `told: ${message}` };
        },
      }),
      DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0, logger: log }),
    ],
    providers: [ItemResolver, Ids, Stage],
  });
  ({ app } = running);
  stage = app.get(Stage);
});
beforeEach(async () => {
  await database.query('TRUNCATE items, checked');
  Object.assign(stage, new Stage());
});
afterEach(() => expectIdle(app.get(AsyncEngine), database));
afterAll(async () => {
  await running.close();
  await database.drop();
});

async function post<T>(body: unknown): Promise<T> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${running.url}/graphql`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  });
  return (await response.json()) as T;
}

describe('a batch of GraphQL operations', () => {
  it('is one unit of work: both are stored', async () => {
    const answers = await post<Answer[]>([
      { query: 'mutation { add(name: "a") }' },
      { query: 'mutation { add(name: "b") }' },
    ]);
    expect(answers.map(({ data }) => data)).toEqual([{ add: 'a' }, { add: 'b' }]);
    expect(await storedNames(database)).toEqual(['a', 'b']);
  });

  it.each([
    ['failed later', 'mutation { hold(name: "bad") }'],
    ['is not valid', '{ nothing }'],
  ])('whose other operation %s is undone, and no answer claims otherwise', async (_case, query) => {
    const answering = post<Answer[]>([{ query: 'mutation { add(name: "a") }' }, { query }]);
    stage.mayGoOn.open();
    const [first, second] = await answering;
    expect(first).toMatchObject({
      data: null,
      errors: [{ message: expect.stringMatching('told: .*undone|told: nothing') }],
    });
    expect(second?.errors).toHaveLength(1);
    expect(await storedNames(database)).toEqual([]);
  });

  it('whose COMMIT is refused answers each of them with the failure', async () => {
    const answers = await post<Answer[]>([
      { query: 'mutation { add(name: "a") }' },
      { query: 'mutation { unique }' },
    ]);
    expect(answers.map(({ data }) => data)).toEqual([null, null]);
    expect(await storedNames(database)).toEqual([]);
  });
});

describe('the failure of the COMMIT of a GraphQL operation', () => {
  it('is answered by the formatError of the application, which gets nothing of a statement to tell', async () => {
    const { data, errors } = await post<Answer>({ query: 'mutation { unique }' });
    expect(data).toBeNull();
    expect(errors).toEqual([{ message: 'told: Conflict' }]);
  });
});

describe('an error of the database in a resolver', () => {
  it('is answered without its statement, and given whole to the formatError of the application', async () => {
    formatted.length = 0;
    const { data, errors } = await post<Answer>({ query: 'mutation { wrong }' });
    expect([data ?? null, errors]).toEqual([null, [{ message: 'told: Internal server error' }]]);
    expect(formatted).toEqual([expect.any(ProgrammingError)]);
    expect(String(formatted[0])).toContain('secret_table');
  });
});

describe('a client that goes away', () => {
  it('does not end a mutation that has begun: all its fields are stored', async () => {
    const request = http.request(`${running.url}/graphql`, {
      method: 'POST',
      agent: false,
      headers: { 'content-type': 'application/json' },
    });
    request.on('error', () => undefined);
    request.end(JSON.stringify({ query: 'mutation { a: hold(name: "a") b: hold(name: "b") }' }));
    await stage.entered.opened;
    const gone = new Promise((resolve) => request.once('close', resolve));
    request.destroy();
    await gone;
    stage.mayGoOn.open();
    await eventually(async () => expect(await storedNames(database)).toEqual(['a', 'b']));
  });
});

describe('an operation whose plugin fails', () => {
  it('keeps no scope open', async () => {
    await post({ operationName: 'broken', query: 'mutation broken { add(name: "a") }' });
    await app.get(AsyncEngine).drain(2_000);
    expect(log.warnings).toEqual([]);
  });
});

describe('a GraphQL operation over a WebSocket', () => {
  const ask = async (query: string): Promise<Answer> => {
    const client = createClient({
      url: `${running.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
    });
    try {
      return (await client.iterate({ query }).next()).value as Answer;
    } finally {
      await client.dispose();
    }
  };

  it('stores its mutations together', async () => {
    expect(await ask('mutation { a: add(name: "a") b: add(name: "b") }')).toEqual({
      data: { a: 'a', b: 'b' },
    });
    expect(await storedNames(database)).toEqual(['a', 'b']);
  });

  it('undoes all of them when one fails, and claims no result', async () => {
    const { data, errors } = await ask('mutation { a: add(name: "a") b: add(name: "bad") }');
    expect([data, errors?.length]).toEqual([null, 1]);
    expect(await storedNames(database)).toEqual([]);
  });

  it('has one connection for its parallel fields and those below', async () => {
    const { data } = await ask('{ a: part { outer isSameUnit } b: part { outer isSameUnit } }');
    const [a, b] = Object.values(data ?? {}) as { outer: string; isSameUnit: boolean[] }[];
    expect([a?.isSameUnit[0], b?.isSameUnit[0], a?.outer === b?.outer]).toEqual([true, true, true]);
  });

  it('answers an error of the database without its statement', async () => {
    const { data, errors } = await ask('mutation { wrong }');
    expect(data ?? null).toBeNull();
    expect(errors).toMatchObject([{ message: 'Internal server error', extensions: { code: 'PROGRAMMING' } }]);
  });

  it('answers with the failure of its COMMIT', async () => {
    const { data, errors } = await ask('mutation { unique }');
    expect([data, errors?.map(({ message }) => message)]).toEqual([null, ['Conflict']]);
  });
});

describe('an operation that the application executes by itself', () => {
  const execute = async (query: string): Promise<Answer> => {
    const server = (app.get(GraphQLModule).graphQlAdapter as ApolloDriver).instance;
    const { body } = await server.executeOperation({ query });
    return (body as { readonly singleResult: Answer }).singleResult;
  };

  it('is one unit of work', async () => {
    await execute('mutation { a: add(name: "a") b: add(name: "bad") }');
    expect(await storedNames(database)).toEqual([]);
    await execute('mutation { a: add(name: "a") b: add(name: "b") }');
    expect(await storedNames(database)).toEqual(['a', 'b']);
  });

  it('has one connection, also in the fields below', async () => {
    const { data } = await execute('{ part { isSameUnit } }');
    expect(data).toMatchObject({ part: { isSameUnit: [true, expect.any(Boolean)] } });
  });
});
