import { Controller, Get, Module, Param, ParseIntPipe, type DynamicModule } from '@nestjs/common';
import { AsyncConnection, DatabaseModule, InjectConnection } from 'nest-async-engine';
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

/** This library with the connection of the request, whose statements each commit themselves: what the singleton does. */
@Module({ controllers: [AccountsController] })
export class RequestScopedModule {
  static of({ url, connections }: PeerSettings): DynamicModule {
    const database = DatabaseModule.forRoot({
      url,
      poolSize: connections,
      maxOverflow: 0,
      requestScope: { commit: 'explicit', connection: () => ({ isolationLevel: 'AUTOCOMMIT' }) },
    });
    return { module: RequestScopedModule, imports: [database] };
  }
}
