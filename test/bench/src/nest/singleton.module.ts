import { Controller, Get, Module, Param, ParseIntPipe, type DynamicModule } from '@nestjs/common';
import { AsyncEngine, DatabaseModule, InjectEngine } from 'nest-async-engine';
import type { Account } from '../fixtures.js';
import { selectAccount } from '../peers/ours.js';
import type { PeerSettings } from '../peers/index.js';

@Controller('accounts')
class AccountsController {
  constructor(@InjectEngine() private readonly engine: AsyncEngine) {}

  @Get(':id')
  find(@Param('id', ParseIntPipe) id: number): Promise<Account> {
    return this.engine.execute(selectAccount, { id }).one();
  }
}

/** This library with the singleton engine. */
@Module({ controllers: [AccountsController] })
export class SingletonModule {
  static of({ url, connections }: PeerSettings, multiplex = true): DynamicModule {
    const database = DatabaseModule.forRoot({ url, poolSize: connections, maxOverflow: 0, multiplex });
    return { module: SingletonModule, imports: [database] };
  }
}
