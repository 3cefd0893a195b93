import { Injectable } from '@nestjs/common';
import { Cron } from '@nestjs/schedule';
import {
  AsyncConnection,
  AsyncEngine,
  Exclusive,
  InjectScopedConnection,
  Transactional,
  sql,
} from 'nest-async-engine';

/** Works on the connection of whatever scope it is called in. */
@Injectable()
export class Totals {
  constructor(@InjectScopedConnection() private readonly connection: AsyncConnection) {}

  async count(by: string): Promise<void> {
    await this.connection.execute(
      sql`INSERT INTO total (by, orders, transaction) SELECT ${by}, count(*), pg_current_xact_id()::text FROM orders`,
    );
  }
}

@Injectable()
export class NightlyService {
  runs = 0;

  constructor(
    private readonly engine: AsyncEngine,
    private readonly totals: Totals,
  ) {}

  /** In one instance only, and one transaction. */
  @Cron('* * * * * *')
  @Exclusive('totals')
  @Transactional()
  async total(): Promise<void> {
    await this.engine.execute(sql`INSERT INTO total (by, orders) SELECT 'lost', count(*) FROM orders`);
    this.runs++;
    throw new RangeError('undone');
  }

  /** A scope, for services that inject the connection of theirs. */
  @Cron('* * * * * *')
  async totalInScope(): Promise<void> {
    await this.engine.scope(
      async () => {
        await this.totals.count('scope');
        await this.totals.count('scope');
      },
      { label: 'nightly totals' },
    );
  }
}
