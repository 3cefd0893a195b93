import { Controller, Get, Inject, Module, Param, ParseIntPipe, type DynamicModule } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { Account } from '../fixtures.js';
import { AccountEntity, openDataSource } from '../peers/typeorm.js';
import type { PeerSettings } from '../peers/index.js';

@Controller('accounts')
class AccountsController {
  constructor(@Inject(DataSource) private readonly source: DataSource) {}

  @Get(':id')
  find(@Param('id', ParseIntPipe) id: number): Promise<Account> {
    return this.source.getRepository(AccountEntity).findOneByOrFail({ id });
  }
}

/** TypeORM's repository. */
@Module({ controllers: [AccountsController] })
export class TypeormModule {
  constructor(@Inject(DataSource) private readonly source: DataSource) {}

  static of(settings: PeerSettings): DynamicModule {
    const source = { provide: DataSource, useFactory: () => openDataSource(settings) };
    return { module: TypeormModule, providers: [source] };
  }

  onApplicationShutdown(): Promise<void> {
    return this.source.destroy();
  }
}
