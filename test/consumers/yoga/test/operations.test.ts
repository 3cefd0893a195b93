import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { Injectable } from '@nestjs/common';
import type { INestApplication } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Args, GraphQLModule, Mutation, Query, Resolver, Subscription } from '@nestjs/graphql';
import { Test } from '@nestjs/testing';
import { YogaDriver } from '@graphql-yoga/nestjs';
import type { YogaDriverConfig } from '@graphql-yoga/nestjs';
import { createClient } from 'graphql-ws';
import type { Plugin } from 'graphql-yoga';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { AsyncConnection, AsyncEngine, DatabaseModule, sql } from 'nest-async-engine';
import { createTestDatabase } from 'nest-async-engine/testing';
import type { TestDatabase } from 'nest-async-engine/testing';

/** A gate that a test opens. */
class Gate {
  open: () => void = () => undefined;
  readonly opened = new Promise<void>((resolve) => (this.open = resolve));
}

@Injectable()
class Stage {
  entered = new Gate();
  mayGoOn = new Gate();
}

@Resolver()
class Items {
  constructor(
    private readonly connection: AsyncConnection,
    private readonly stage: Stage,
  ) {}

  @Query(() => String)
  async unit(): Promise<string> {
    return String(await this.connection.scalar(sql`SELECT pg_current_xact_id()`));
  }

  @Mutation(() => String, { nullable: true })
  async add(@Args('name') name: string): Promise<string> {
    await this.connection.execute(sql`INSERT INTO item (name) VALUES (${name})`);
    if (name === 'bad') throw new Error('on purpose');
    return String(await this.connection.scalar(sql`SELECT pg_current_xact_id()`));
  }

  @Mutation(() => String)
  async slow(): Promise<string> {
    await this.add('slow');
    this.stage.entered.open();
    await this.stage.mayGoOn.opened;
    return 'stored';
  }

  /** Its rows are refused by the COMMIT. */
  @Mutation(() => String)
  async late(): Promise<string> {
    await this.connection.execute(sql`INSERT INTO once VALUES (1), (1)`);
    return 'must not be seen';
  }
}

@Resolver()
class Ticks {
  constructor(private readonly engine: AsyncEngine) {}

  @Subscription(() => String)
  async *tick(): AsyncGenerator<{ tick: string }> {
    for (const name of ['first', 'second']) {
      await this.engine.execute(sql`INSERT INTO item (name) VALUES (${name})`);
      yield { tick: name };
    }
  }
}

interface Answer {
  readonly data?: Readonly<Record<string, unknown>> | null;
  readonly errors?: readonly { readonly message: string }[];
}

let database: TestDatabase;
let app: INestApplication;
let engine: AsyncEngine;
let url: string;

async function start(
  options: Partial<YogaDriverConfig> = {},
  adapter: ExpressAdapter | FastifyAdapter = new ExpressAdapter(),
): Promise<void> {
  database = await createTestDatabase();
  const testing = await Test.createTestingModule({
    imports: [
      GraphQLModule.forRoot<YogaDriverConfig>({
        driver: YogaDriver,
        autoSchemaFile: true,
        batching: true,
        subscriptions: { 'graphql-ws': true },
        ...options,
      } as YogaDriverConfig),
      DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0 }),
    ],
    providers: [Items, Ticks, Stage],
  }).compile();
  app = testing.createNestApplication(adapter, { logger: false });
  await app.listen(0, '127.0.0.1');
  url = `http://127.0.0.1:${((app.getHttpServer() as http.Server).address() as AddressInfo).port}/graphql`;
  engine = app.get(AsyncEngine);
  await engine.execute(sql`CREATE TABLE item (name text)`);
  await engine.execute(sql`CREATE TABLE once (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)`);
}

afterEach(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await app.close();
  await database.drop();
});

async function post<T = Answer>(body: unknown): Promise<T> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  return (await response.json()) as T;
}

const stored = async (): Promise<unknown[]> =>
  (await engine.scalars<string>(sql`SELECT name FROM item ORDER BY name`)).all();

async function eventually(check: () => Promise<void>): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await check();
    } catch (error) {
      if (attempt === 500) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

describe.each([
  ['Express', () => new ExpressAdapter()],
  ['Fastify', () => new FastifyAdapter()],
])('a GraphQL operation of Yoga on %s', (_name, makeAdapter) => {
  beforeEach(async () => await start({}, makeAdapter()));

  it('stores its mutations together', async () => {
    const { data } = await post({ query: 'mutation { a: add(name: "a") b: add(name: "b") }' });
    expect(new Set(Object.values(data ?? {})).size).toBe(1);
    expect(await stored()).toEqual(['a', 'b']);
  });

  it('undoes all of them when one fails, and claims no result', async () => {
    const { data, errors } = await post({ query: 'mutation { a: add(name: "a") b: add(name: "bad") }' });
    expect([data, errors?.map(({ message }) => message)]).toEqual([null, ['on purpose']]);
    expect(await stored()).toEqual([]);
  });

  it('reads in one transaction', async () => {
    const { data } = await post({ query: '{ a: unit b: unit }' });
    expect(new Set(Object.values(data ?? {})).size).toBe(1);
  });

  it('answers with the failure of its COMMIT, and nothing of the statement', async () => {
    const { data, errors } = await post({ query: 'mutation { late }' });
    expect([data, errors?.length]).toEqual([null, 1]);
    expect(errors?.[0]?.message).toBe('Conflict');
  });

  it('in a batch is undone with the others, and its answer does not claim otherwise', async () => {
    const answers = await post<Answer[]>([
      { query: 'mutation { add(name: "a") }' },
      { query: 'mutation { add(name: "bad") }' },
    ]);
    expect(answers.map(({ data, errors }) => [data, errors?.length])).toEqual([
      [null, 1],
      [null, 1],
    ]);
    expect(await stored()).toEqual([]);
  });

  it('in a batch is stored with the others', async () => {
    await post([{ query: 'mutation { add(name: "a") }' }, { query: 'mutation { add(name: "b") }' }]);
    expect(await stored()).toEqual(['a', 'b']);
  });

  it('is stored whole where its client has gone', async () => {
    const stage = app.get(Stage);
    const query = 'mutation { slow add(name: "after") }';
    const request = http.request(url, { method: 'POST', headers: { 'content-type': 'application/json' } });
    request.on('error', () => undefined).end(JSON.stringify({ query }));
    await stage.entered.opened;
    request.destroy();
    stage.mayGoOn.open();
    await eventually(async () => expect(await stored()).toEqual(['after', 'slow']));
    await eventually(async () => expect(engine.pool.checkedOut()).toBe(0));
  });

  it('that is refused before its execution leaves nothing open', async () => {
    expect((await post({ query: 'mutation { nothing }' })).errors).toHaveLength(1);
    expect((await post({ query: 'mutation {' })).errors).toHaveLength(1);
  });

  it('gives each value of a subscription, whose statements commit themselves', async () => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ query: 'subscription { tick }' }),
    });
    const events = (await response.text()).match(/"tick":"\w+"/g);
    expect(events).toEqual(['"tick":"first"', '"tick":"second"']);
    expect(await stored()).toEqual(['first', 'second']);
  });

  it('over a socket is one unit of work', async () => {
    const client = createClient({ url: url.replace('http', 'ws'), webSocketImpl: WebSocket });
    const answers: unknown[] = [];
    const query = 'mutation { a: add(name: "a") b: add(name: "bad") }';
    for await (const answer of client.iterate({ query })) answers.push(answer);
    await client.dispose();
    expect(answers).toMatchObject([{ data: null, errors: [{ message: 'on purpose' }] }]);
    expect(await stored()).toEqual([]);
  });
});

describe('an application with plugins of its own', () => {
  it('hides the failure of a COMMIT as it hides other errors', async () => {
    await start({ maskedErrors: true });
    const { data, errors } = await post({ query: 'mutation { late }' });
    expect([data, errors?.map(({ message }) => message)]).toEqual([null, ['Unexpected error.']]);
  });

  it('undoes what fails in a plugin around the execution', async () => {
    const plugin: Plugin = {
      onExecute({ executeFn, setExecuteFn }) {
        setExecuteFn(async (execution: unknown) => {
          await executeFn(execution);
          throw new Error('of the plugin');
        });
      },
    };
    await start({ plugins: [plugin] });
    const { errors } = await post({ query: 'mutation { add(name: "a") }' });
    expect(errors?.map(({ message }) => message)).toEqual(['of the plugin']);
    expect(await stored()).toEqual([]);
  });

  it('begins nothing where a plugin refuses the execution', async () => {
    const plugin: Plugin = {
      onExecute() {
        throw new Error('of the plugin');
      },
    };
    await start({ plugins: [plugin] });
    const { errors } = await post({ query: 'mutation { add(name: "a") }' });
    expect(errors?.map(({ message }) => message)).toEqual(['of the plugin']);
  });
});
