import 'reflect-metadata';
import { Injectable, Module, type DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AsyncEngine, DatabaseModule, Transactional } from 'nest-async-engine';

@Injectable()
export class EmptyService {
  async plain(): Promise<number> {
    return 1;
  }

  @Transactional()
  async transactional(): Promise<number> {
    return 1;
  }
}

@Module({ providers: [EmptyService] })
class EmptyModule {
  static of(url: string): DynamicModule {
    return { module: EmptyModule, imports: [DatabaseModule.forRoot({ url, connectOnStart: 'lazy' })] };
  }
}

export interface EmptyApplication {
  readonly service: EmptyService;
  readonly engine: AsyncEngine;
  readonly close: () => Promise<void>;
}

/** A service of which nothing ever reaches the database. */
export async function startEmptyApplication(url: string): Promise<EmptyApplication> {
  const context = await NestFactory.createApplicationContext(EmptyModule.of(url), { logger: ['error'] });
  return {
    service: context.get(EmptyService),
    engine: context.get(AsyncEngine, { strict: false }),
    close: () => context.close(),
  };
}
