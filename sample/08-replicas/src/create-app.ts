import type { INestApplication } from '@nestjs/common';
import { type AbstractHttpAdapter, NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { NotesModule } from './notes.module.js';
import type { Servers } from './standby.js';

/** The notes on any HTTP adapter. */
export function createApp(
  servers: Servers,
  adapter: AbstractHttpAdapter = new ExpressAdapter(),
): Promise<INestApplication> {
  return NestFactory.create(NotesModule.forRoot(servers), adapter, {
    forceCloseConnections: true,
    logger: ['warn', 'error'],
  });
}
