import { Controller, Get, Inject, Module, Param, ParseIntPipe, type DynamicModule } from '@nestjs/common';
import pg from 'pg';
import type { Account } from '../fixtures.js';
import type { PeerSettings } from '../peers/index.js';
import { onlyRow } from '../peers/only-row.js';
import { SELECT_ACCOUNT } from '../peers/statements.js';

@Controller('accounts')
class AccountsController {
  constructor(@Inject(pg.Pool) private readonly pool: pg.Pool) {}

  @Get(':id')
  async find(@Param('id', ParseIntPipe) id: number): Promise<Account> {
    const { rows } = await this.pool.query<Account>({ ...SELECT_ACCOUNT, values: [id] });
    return onlyRow(rows);
  }
}

/** What people write who want no library: a `pg.Pool` as a provider. */
@Module({ controllers: [AccountsController] })
export class HandWrittenModule {
  constructor(@Inject(pg.Pool) private readonly pool: pg.Pool) {}

  static of({ url, connections }: PeerSettings): DynamicModule {
    const useFactory = (): pg.Pool => new pg.Pool({ connectionString: url, max: connections });
    return { module: HandWrittenModule, providers: [{ provide: pg.Pool, useFactory }] };
  }

  onApplicationShutdown(): Promise<void> {
    return this.pool.end();
  }
}
