import { Controller, Get, Module, Param, ParseIntPipe, type DynamicModule, type Type } from '@nestjs/common';
import {
  AsyncConnection,
  DatabaseModule,
  InjectConnection,
  InjectScopedConnection,
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

@Controller('accounts')
class HandleController {
  constructor(@InjectScopedConnection() private readonly connection: AsyncConnection) {}

  @Get(':id')
  find(@Param('id', ParseIntPipe) id: number): Promise<Account> {
    return this.connection.execute(selectAccount, { id }).one();
  }
}

const AUTOCOMMIT: RequestScopeOptions = {
  commit: 'explicit',
  connection: () => ({ isolationLevel: 'AUTOCOMMIT' }),
};

/** This library with the connection of the request, as a provider of each request or as a handle. */
@Module({})
export class RequestConnectionModule {
  /** As it is by default: each request is one transaction. */
  static unitOfWork(settings: PeerSettings): DynamicModule {
    return moduleOf(settings, {}, AccountsController);
  }

  /** Each statement commits itself: what the singleton does. */
  static autocommit(settings: PeerSettings): DynamicModule {
    return moduleOf(settings, AUTOCOMMIT, AccountsController);
  }

  static handleUnitOfWork(settings: PeerSettings): DynamicModule {
    return moduleOf(settings, {}, HandleController);
  }

  static handleAutocommit(settings: PeerSettings): DynamicModule {
    return moduleOf(settings, AUTOCOMMIT, HandleController);
  }
}

function moduleOf(
  { url, connections }: PeerSettings,
  requestScope: RequestScopeOptions,
  controller: Type,
): DynamicModule {
  const database = DatabaseModule.forRoot({ url, poolSize: connections, maxOverflow: 0, requestScope });
  return { module: RequestConnectionModule, imports: [database], controllers: [controller] };
}
