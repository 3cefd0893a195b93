import { Injectable, type OnModuleInit } from '@nestjs/common';
import { AsyncEngine, sql, Transactional } from 'nest-async-engine';
import { Outbox } from './outbox.js';

/** Lives in the shop's database, the unnamed one. */
@Injectable()
export class Sales implements OnModuleInit {
  constructor(
    private readonly engine: AsyncEngine,
    private readonly outbox: Outbox,
  ) {}

  async onModuleInit(): Promise<void> {
    await this.engine.execute(
      sql`CREATE TABLE IF NOT EXISTS sales (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, product text NOT NULL,
            amount int NOT NULL CHECK (amount > 0))`,
    );
  }

  /**
   * The sale and the note for the reports are in one database, so one transaction holds them both. The reports are in
   * another one, which can't be part of it: they are told afterwards, and told again with the next sale when they did not listen.
   */
  @Transactional()
  async sell(product: string, amount: number): Promise<number> {
    const id = await this.engine
      .execute<{ id: number }>(
        sql`INSERT INTO sales (product, amount) VALUES (${product}, ${amount}) RETURNING id`,
      )
      .scalarOne();
    await this.outbox.add({ id, product, amount });
    this.engine.afterCommit(() => this.outbox.tryToDeliver());
    return id;
  }
}
