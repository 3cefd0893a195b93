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

/** This library with the connection of the request as it is by default: each request is one transaction. */
@Module({ controllers: [AccountsController] })
export class UnitOfWorkModule {
  static of({ url, connections }: PeerSettings): DynamicModule {
    const database = DatabaseModule.forRoot({ url, poolSize: connections, maxOverflow: 0 });
    return { module: UnitOfWorkModule, imports: [database] };
  }
}
