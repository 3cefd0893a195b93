import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { AsyncEngine, Transactional, sql } from 'nest-async-engine';
import { Repository } from 'typeorm';
import { CatalogService } from './catalog.service';
import { Customer, Order } from './entities';

export interface Wish {
  product: number;
  amount: number;
}

/** Moved: its transactions are the engine's, its repositories are TypeORM's. */
@Injectable()
export class OrdersService {
  /** What was told to the world. */
  readonly mails: string[] = [];

  constructor(
    private readonly engine: AsyncEngine,
    private readonly catalog: CatalogService,
    @InjectRepository(Customer) private readonly customers: Repository<Customer>,
    @InjectRepository(Order) private readonly orders: Repository<Order>,
  ) {}

  @Transactional({ retry: 2 })
  async place(name: string, wishes: Wish[]): Promise<Order> {
    const { id } = await this.engine
      .execute<{ id: number }>(
        sql`INSERT INTO customer (name) VALUES (${name}) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id`,
      )
      .one();
    const lines = wishes.map(({ product, amount }) => ({ product: { id: product }, amount }));
    const order = await this.orders.save(this.orders.create({ customer: { id }, lines }));
    await this.catalog.reserve(wishes);
    this.engine.afterCommit(() => void this.mails.push(`${name} ordered`));
    return order;
  }

  /** What is not in stock is left out. */
  @Transactional()
  async placeWhatIsThere(name: string, wishes: Wish[]): Promise<number> {
    let placed = 0;
    for (const wish of wishes) {
      await this.place(name, [wish]).then(
        () => placed++,
        () => undefined,
      );
    }
    return placed;
  }

  async find(name: string): Promise<Customer> {
    return await this.customers.findOneOrFail({
      where: { name },
      relations: { orders: { lines: { product: { categories: true } } } },
    });
  }
}
