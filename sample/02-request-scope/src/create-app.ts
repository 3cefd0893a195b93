import type { INestApplication } from '@nestjs/common';
import { type AbstractHttpAdapter, NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import type { DatabaseModuleOptions } from 'nest-async-engine';
import { NotebookModule } from './notebook.module.js';

/** The notebook on any HTTP adapter. */
export function createApp(
  database: DatabaseModuleOptions,
  adapter: AbstractHttpAdapter = new ExpressAdapter(),
): Promise<INestApplication> {
  return NestFactory.create(NotebookModule.forRoot(database), adapter, {
    forceCloseConnections: true,
    logger: ['warn', 'error'],
  });
}
