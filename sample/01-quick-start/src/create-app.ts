import type { INestApplication, NestApplicationOptions } from '@nestjs/common';
import { type AbstractHttpAdapter, NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import type { DatabaseModuleOptions } from 'nest-async-engine';
import { ShopModule } from './shop.module.js';

/** The shop on any HTTP adapter. Event streams never end by themselves, so closing it closes their connections too. */
export function createApp(
  database: DatabaseModuleOptions,
  adapter: AbstractHttpAdapter = new ExpressAdapter(),
  options: NestApplicationOptions = {},
): Promise<INestApplication> {
  return NestFactory.create(ShopModule.forRoot(database), adapter, {
    forceCloseConnections: true,
    logger: ['warn', 'error'],
    ...options,
  });
}
