import { Controller, Get, Module, type DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { DatabaseModule } from 'nest-async-engine';

@Controller('ping')
class PingController {
  @Get()
  ping(): { readonly pong: true } {
    return { pong: true };
  }
}

/** A route that never touches the database, in an application with or without one. */
@Module({ controllers: [PingController] })
export class IdleRouteModule {
  static alone(): DynamicModule {
    return { module: IdleRouteModule };
  }

  static besideDatabase(url: string): DynamicModule {
    return { module: IdleRouteModule, imports: [DatabaseModule.forRoot({ url })] };
  }
}

/** Asked in this process and without a socket, so that little else is measured. */
export async function openIdleRoute(
  module: DynamicModule,
): Promise<{ readonly ask: () => Promise<string>; readonly close: () => Promise<void> }> {
  const application = await NestFactory.create<NestFastifyApplication>(module, new FastifyAdapter(), {
    logger: ['error'],
  });
  await application.init();
  const fastify = application.getHttpAdapter().getInstance();
  await fastify.ready();
  return {
    ask: async () => (await fastify.inject({ url: '/ping' })).body,
    close: () => application.close(),
  };
}
