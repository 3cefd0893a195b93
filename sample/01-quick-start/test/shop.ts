import type { INestApplication } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { AsyncEngine, type DatabaseModuleOptions } from 'nest-async-engine';
import { createDatabase, type TestDatabase } from '../../../test/support/server/postgres.js';
import { createApp } from '../src/create-app.js';
import type { PlacedOrder } from '../src/order-feed.js';
import type { Step } from '../src/story.js';

export const ADAPTERS = ['Express', 'Fastify'] as const;

export type AdapterName = (typeof ADAPTERS)[number];

export interface Answer {
  readonly status: number;
  readonly body: {
    readonly order?: PlacedOrder;
    readonly story?: readonly Step[];
    readonly message?: string;
  };
}

export interface OpenShop {
  readonly app: INestApplication;
  readonly url: string;
  readonly database: TestDatabase;
  readonly engine: AsyncEngine;
  post(order: unknown): Promise<Answer>;
  close(): Promise<void>;
}

/** The shop of this sample, listening, on a database of its own. */
export async function openShop(name: AdapterName, options: DatabaseModuleOptions = {}): Promise<OpenShop> {
  const database = await createDatabase('shop');
  const adapter =
    name === 'Express' ? new ExpressAdapter() : new FastifyAdapter({ forceCloseConnections: true });
  const app = await createApp({ url: database.url, ...options }, adapter);
  await app.listen(0, '127.0.0.1');
  const url = await app.getUrl();
  return {
    app,
    url,
    database,
    engine: app.get(AsyncEngine),
    async post(order) {
      const response = await fetch(`${url}/orders`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: typeof order === 'string' ? order : JSON.stringify(order),
      });
      return { status: response.status, body: (await response.json()) as Answer['body'] };
    },
    async close() {
      await app.close();
      await database.drop();
    },
  };
}

/** The orders of an event stream, as they come. */
export async function* ordersOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<PlacedOrder> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    const events = text.split('\n\n');
    text = events.pop() ?? '';
    for (const event of events) {
      const data = /^data: (.*)$/m.exec(event)?.[1];
      if (data !== undefined) yield JSON.parse(data) as PlacedOrder;
    }
  }
}
