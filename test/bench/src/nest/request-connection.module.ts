import { Controller, Get, Module, Param, ParseIntPipe, type DynamicModule } from '@nestjs/common';
import {
  AsyncConnection,
  DatabaseModule,
  InjectConnection,
  type RequestScopeOptions,
} from 'nest-async-engine';
import type { Account } from '../fixtures.js';
import { selectAccount } from '../peers/ours.js';
import type { PeerSettings } from '../peers/index.js';

@Controller('accounts')
class AccountsController {
  constructor(@InjectConnection() private readonly connection: AsyncConnection) {}

  @Get(':id')
  find(@Param('id', ParseIntPipe) id: number): Promise<Account> {
    return this.connection.execute(selectAccount, { id }).one();
  }
}

/** This library with the connection of the request. */
@Module({ controllers: [AccountsController] })
export class RequestConnectionModule {
  /** As it is by default: each request is one transaction. */
  static unitOfWork(settings: PeerSettings): DynamicModule {
    return moduleOf(settings, {});
  }

  /** Each statement commits itself: what the singleton does. */
  static autocommit(settings: PeerSettings): DynamicModule {
    return moduleOf(settings, {
      commit: 'explicit',
      connection: () => ({ isolationLevel: 'AUTOCOMMIT' }),
    });
  }
}

function moduleOf({ url, connections }: PeerSettings, requestScope: RequestScopeOptions): DynamicModule {
  const database = DatabaseModule.forRoot({ url, poolSize: connections, maxOverflow: 0, requestScope });
  return { module: RequestConnectionModule, imports: [database] };
}
