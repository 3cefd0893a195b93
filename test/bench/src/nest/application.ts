import 'reflect-metadata';
import type { DynamicModule, INestApplication, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';

export interface RunningApplication {
  readonly port: number;
  readonly close: () => Promise<void>;
}

/** A real Nest application over Fastify, in this process. */
export async function startApplication(module: DynamicModule | Type<unknown>): Promise<RunningApplication> {
  const application: INestApplication = await NestFactory.create<NestFastifyApplication>(
    module,
    new FastifyAdapter(),
    { logger: ['error'] },
  );
  await application.listen(0, '127.0.0.1');
  const { port } = application.getHttpServer().address() as { readonly port: number };
  return { port, close: () => application.close() };
}
