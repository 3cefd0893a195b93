import type { INestApplication } from '@nestjs/common';
import { type AbstractHttpAdapter, NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { DatabaseModuleOptions } from 'nest-async-engine';
import { AddressBookModule } from './address-book.module.js';

/** The address book on any HTTP adapter. */
export async function createApp(
  database: DatabaseModuleOptions,
  adapter: AbstractHttpAdapter = new ExpressAdapter(),
): Promise<INestApplication> {
  const app = await NestFactory.create(AddressBookModule.forRoot(database), adapter, {
    forceCloseConnections: true,
    logger: ['warn', 'error'],
  });
  // Fastify reads text by itself.
  if (adapter.getType() === 'express') (app as NestExpressApplication).useBodyParser('text');
  return app;
}
