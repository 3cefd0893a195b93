import { Controller, Get, Module, type DynamicModule } from '@nestjs/common';
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
