import {
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  Param,
  ParseIntPipe,
  Scope,
  type DynamicModule,
  type Type,
} from '@nestjs/common';
import {
  AsyncConnection,
  AsyncEngine,
  DatabaseModule,
  InjectConnection,
  InjectEngine,
} from 'nest-async-engine';
import type { Account } from '../fixtures.js';
import { selectAccount } from '../peers/ours.js';
import type { PeerSettings } from '../peers/index.js';

/** Made anew for each request, for nothing. */
@Injectable({ scope: Scope.REQUEST })
class Nothing {}

@Controller('ping')
class PingController {
  constructor(@Inject(Nothing) private readonly nothing: Nothing) {}

  @Get()
  ping(): { readonly pong: boolean } {
    return { pong: this.nothing instanceof Nothing };
  }
}

@Controller('ping')
class ConnectionPingController {
  constructor(@InjectConnection() private readonly connection: AsyncConnection) {}

  @Get()
  ping(): { readonly pong: boolean } {
    return { pong: !this.connection.closed };
  }
}

@Controller('accounts')
class AccountsController {
  constructor(
    @InjectEngine() private readonly engine: AsyncEngine,
    @Inject(Nothing) readonly nothing: Nothing,
  ) {}

  @Get(':id')
  find(@Param('id', ParseIntPipe) id: number): Promise<Account> {
    return this.engine.execute(selectAccount, { id }).one();
  }
}

/** This library beside a provider that is made for each request: its own connection, or one that does nothing. */
@Module({})
export class RequestProviderModule {
  static pingWithNothing(url: string): DynamicModule {
    return moduleOf(DatabaseModule.forRoot({ url }), PingController);
  }

  static pingWithConnection(url: string): DynamicModule {
    return moduleOf(DatabaseModule.forRoot({ url }), ConnectionPingController);
  }

  /** One query by the singleton engine, in a class that is made for each request all the same. */
  static engineWithNothing({ url, connections }: PeerSettings): DynamicModule {
    return moduleOf(
      DatabaseModule.forRoot({ url, poolSize: connections, maxOverflow: 0 }),
      AccountsController,
    );
  }
}

function moduleOf(database: DynamicModule, controller: Type): DynamicModule {
  return {
    module: RequestProviderModule,
    imports: [database],
    controllers: [controller],
    providers: [Nothing],
  };
}
