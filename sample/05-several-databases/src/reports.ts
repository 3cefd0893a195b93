import { Injectable, type OnModuleInit } from '@nestjs/common';
import { type AsyncEngine, InjectEngine, sql, Transactional } from 'nest-async-engine';

/** The name of the second database. */
export const REPORTS = 'reports';

export interface Sale {
  readonly id: number;
  readonly product: string;
  readonly amount: number;
}

export interface ProductReport {
  readonly product: string;
  readonly sales: number;
  readonly amount: number;
}

/** Lives in the database `reports`. */
@Injectable()
export class Reports implements OnModuleInit {
  constructor(@InjectEngine(REPORTS) private readonly engine: AsyncEngine) {}

  async onModuleInit(): Promise<void> {
    await this.engine.execute(
      sql`CREATE TABLE IF NOT EXISTS recorded (sale int PRIMARY KEY, product text NOT NULL, amount int NOT NULL)`,
    );
  }

  /** A transaction of this database alone, whatever the caller has open in the other one. Twice is the same as once. */
  @Transactional({ engine: REPORTS })
  async record(sales: readonly Sale[]): Promise<void> {
    for (const { id, product, amount } of sales) {
      await this.engine.execute(
        sql`INSERT INTO recorded VALUES (${id}, ${product}, ${amount}) ON CONFLICT (sale) DO NOTHING`,
      );
    }
  }

  perProduct(): Promise<ProductReport[]> {
    return this.engine
      .execute<ProductReport>(
        sql`SELECT product, count(*)::int AS sales, sum(amount)::int AS amount FROM recorded GROUP BY 1 ORDER BY 1`,
      )
      .all();
  }
}
