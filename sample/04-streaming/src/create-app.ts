import type { INestApplication } from '@nestjs/common';
import { type AbstractHttpAdapter, NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import type { DatabaseModuleOptions } from 'nest-async-engine';
import { StationModule } from './station.module.js';

/** The station on any HTTP adapter. Event streams never end by themselves, so closing it closes their connections too. */
export function createApp(
  database: DatabaseModuleOptions,
  adapter: AbstractHttpAdapter = new ExpressAdapter(),
): Promise<INestApplication> {
  return NestFactory.create(StationModule.forRoot(database), adapter, {
    forceCloseConnections: true,
    logger: ['warn', 'error'],
  });
}
