import { Injectable } from '@nestjs/common';
import { AsyncEngine, Transactional, sql } from 'nest-async-engine';
import { Outbox } from './outbox.js';

@Injectable()
export class OrdersService {
  constructor(
    private readonly engine: AsyncEngine,
    private readonly outbox: Outbox,
  ) {}

  @Transactional()
  async place(customer: string): Promise<number> {
    const id = await this.engine
      .scalars<number>(sql`INSERT INTO orders (customer) VALUES (${customer}) RETURNING id`)
      .one();
    await this.outbox.add('confirm', { order: id, customer });
    return id;
  }
}
