import 'reflect-metadata';
import type { DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';

export interface InjectedApplication {
  /** The body of the answer. */
  readonly ask: (path: string) => Promise<string>;
  readonly close: () => Promise<void>;
}

/** An application that is asked in this process and without a socket, so that little else is measured. */
export async function openInjected(module: DynamicModule): Promise<InjectedApplication> {
  const application = await NestFactory.create<NestFastifyApplication>(module, new FastifyAdapter(), {
    logger: ['error'],
  });
  await application.init();
  const fastify = application.getHttpAdapter().getInstance();
  await fastify.ready();
  return {
    ask: async (url) => (await fastify.inject({ url })).body,
    close: () => application.close(),
  };
}
