import type { INestApplication } from '@nestjs/common';
import { type AbstractHttpAdapter, NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { type Databases, SalesModule } from './sales.module.js';

/** The shop on any HTTP adapter. */
export function createApp(
  databases: Databases,
  adapter: AbstractHttpAdapter = new ExpressAdapter(),
): Promise<INestApplication> {
  return NestFactory.create(SalesModule.forRoot(databases), adapter, {
    forceCloseConnections: true,
    logger: ['warn', 'error'],
  });
}
