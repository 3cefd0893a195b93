import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { AsyncEngine, sql, Transactional } from 'nest-async-engine';
import { Reports, type Sale } from './reports.js';

/** What the reports have not confirmed yet, in the shop's database. */
@Injectable()
export class Outbox implements OnModuleInit {
  private readonly logger = new Logger(Outbox.name);

  constructor(
    private readonly engine: AsyncEngine,
    private readonly reports: Reports,
  ) {}

  async onModuleInit(): Promise<void> {
    await this.engine.execute(
      sql`CREATE TABLE IF NOT EXISTS outbox (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sale jsonb NOT NULL)`,
    );
  }

  async add(sale: Sale): Promise<void> {
    await this.engine.execute(sql`INSERT INTO outbox (sale) VALUES (${sale})`);
  }

  waiting(): Promise<number> {
    return this.engine.execute<{ n: number }>(sql`SELECT count(*)::int AS n FROM outbox`).scalarOne();
  }

  /** The sale is stored whatever comes of this, so its failure is nobody's error; what is left is delivered with the next. */
  async tryToDeliver(): Promise<void> {
    await this.deliver().catch((error: unknown) =>
      this.logger.warn(`the reports were not told: ${String(error)}`),
    );
  }

  /** Two open transactions, one in each database. The reports commit first: a note may be sent twice, never lost. */
  @Transactional()
  async deliver(): Promise<void> {
    const notes = await this.engine
      .execute<{ id: number; sale: Sale }>(
        sql`SELECT id, sale FROM outbox ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 100`,
      )
      .all();
    if (notes.length === 0) return;
    await this.reports.record(notes.map(({ sale }) => sale));
    await this.engine.execute(sql`DELETE FROM outbox WHERE id = ANY(${notes.map(({ id }) => id)})`);
  }
}
