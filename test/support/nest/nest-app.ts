import type { INestApplication, Type } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import type { ModuleMetadata } from '@nestjs/common';
import type { AbstractHttpAdapter } from '@nestjs/core';

export const ADAPTERS: readonly (readonly [string, () => AbstractHttpAdapter])[] = [
  ['Express', () => new ExpressAdapter()],
  ['Fastify', () => new FastifyAdapter() as unknown as AbstractHttpAdapter],
];

export interface RunningApp {
  readonly app: INestApplication;
  readonly url: string;
  get<T>(token: Type<T> | string | symbol): T;
  readonly close: () => Promise<void>;
}

/** A real application on a real port of the loopback interface. */
export async function startApp(
  metadata: ModuleMetadata,
  adapter: AbstractHttpAdapter = new ExpressAdapter(),
  prepare: (app: INestApplication) => void = () => undefined,
): Promise<RunningApp> {
  const testing = await Test.createTestingModule(metadata).compile();
  const app = testing.createNestApplication(adapter, { logger: false });
  prepare(app);
  await app.listen(0, '127.0.0.1');
  const address = app.getHttpServer().address() as { port: number };
  return {
    app,
    url: `http://127.0.0.1:${address.port}`,
    get: (token) => app.get(token, { strict: false }),
    close: () => app.close(),
  };
}
