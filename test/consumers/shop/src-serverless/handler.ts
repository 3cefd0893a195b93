import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import awsLambdaFastify from '@fastify/aws-lambda';
import serverlessExpress from '@codegenie/serverless-express';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import serverlessHttp from 'serverless-http';
import { AsyncEngine, createAsyncEngine, sql } from 'nest-async-engine';
import { ShopModule } from '../src/shop.module.js';

interface Answer {
  readonly statusCode: number;
  readonly body: string;
}

type Handler = (event: APIGatewayProxyEventV2) => Promise<Answer>;

/** Request and answer as the gateway in front of a function has them. */
function eventOf(method: string, item?: string): APIGatewayProxyEventV2 {
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: '/orders',
    rawQueryString: '',
    headers: { 'content-type': 'application/json', host: 'localhost' },
    requestContext: {
      accountId: '1',
      apiId: 'api',
      domainName: 'localhost',
      domainPrefix: 'api',
      http: { method, path: '/orders', protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: 'test' },
      requestId: 'id',
      routeKey: '$default',
      stage: '$default',
      time: '28/Nov/2026:10:00:00 +0000',
      timeEpoch: 1_795_860_000_000,
    },
    isBase64Encoded: false,
    ...(item !== undefined && { body: JSON.stringify({ item }) }),
  };
}

async function start(
  adapter: string,
): Promise<{ readonly handle: Handler; readonly app: Awaited<ReturnType<typeof NestFactory.create>> }> {
  if (adapter === 'fastify') {
    const app = await NestFactory.create(ShopModule, new FastifyAdapter() as never, { logger: false });
    await app.init();
    const handle = awsLambdaFastify(app.getHttpAdapter().getInstance() as never);
    return { app, handle: (event) => handle(event, {} as never) as Promise<never> };
  }
  const app = await NestFactory.create(ShopModule, { logger: false });
  await app.init();
  const express: unknown = app.getHttpAdapter().getInstance();
  if (adapter === 'serverless-http') {
    const handle = serverlessHttp(express as never);
    return { app, handle: (event) => handle(event, {}) as Promise<never> };
  }
  const handle = serverlessExpress({ app: express as never });
  return { app, handle: (event) => handle(event, {} as never, () => undefined) as unknown as Promise<never> };
}

/** Of the application, all of them: by another program, which waits until the server has no more of them. */
async function endSessions(): Promise<void> {
  await using other = createAsyncEngine(process.env['DATABASE_URL'] ?? '', {
    isolationLevel: 'AUTOCOMMIT',
    poolSize: 1,
    maxOverflow: 0,
  });
  const sessions = sql`FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`;
  const ended = await other.execute(sql`SELECT pg_terminate_backend(pid) ${sessions}`).all();
  if (ended.length === 0) throw new Error('the application had no session to lose');
  while ((await other.scalar<number>(sql`SELECT count(*)::int ${sessions}`)) !== 0);
}

async function main(adapter: string): Promise<void> {
  const { app, handle } = await start(adapter);
  const engine = app.get(AsyncEngine);
  const answers = [
    await handle(eventOf('POST', 'coffee')),
    await handle(eventOf('POST', 'nothing')),
    await handle(eventOf('GET')),
  ];
  // A function that is not called is frozen, and the server ends what says nothing for long.
  await endSessions();
  answers.push(await handle(eventOf('POST', 'tea')), await handle(eventOf('GET')));
  const { pool } = engine;
  await app.close();
  const counted = [answers[2], answers[4]].map((answer) => JSON.parse(answer?.body ?? 'null') as unknown);
  console.log(
    JSON.stringify({
      statuses: answers.map(({ statusCode }) => statusCode),
      counted,
      left: pool.checkedOut(),
    }),
  );
}

void main(process.argv[2] ?? '');
