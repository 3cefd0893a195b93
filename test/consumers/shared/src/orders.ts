import { Body, ConflictException, Controller, Get, Injectable, Module, Post } from '@nestjs/common';
import { AsyncEngine, Transactional, UniqueViolationError, sql } from 'nest-async-engine';

@Injectable()
export class OrdersRepository {
  constructor(private readonly engine: AsyncEngine) {}

  async add(customer: string): Promise<void> {
    await this.engine.execute(sql`INSERT INTO orders (customer) VALUES (${customer})`);
  }

  async log(text: string): Promise<void> {
    await this.engine.execute(sql`INSERT INTO log (text) VALUES (${text})`);
  }

  async customers(): Promise<string[]> {
    const customers = await this.engine.scalars<string>(sql`SELECT customer FROM orders ORDER BY customer`);
    return customers.all();
  }
}

@Injectable()
export class Mailer {
  readonly sent: string[] = [];
}

@Injectable()
export class OrdersService {
  constructor(
    private readonly orders: OrdersRepository,
    private readonly mailer: Mailer,
    private readonly engine: AsyncEngine,
  ) {}

  @Transactional()
  async place(customer: string): Promise<void> {
    this.engine.afterCommit(() => void this.mailer.sent.push(customer));
    await this.orders.log(customer);
    await this.orders.add(customer);
  }
}

@Controller('orders')
export class OrdersController {
  constructor(
    private readonly service: OrdersService,
    private readonly orders: OrdersRepository,
  ) {}

  @Post()
  async place(@Body() order: { customer: string }): Promise<string[]> {
    await this.service.place(order.customer).catch((error: unknown) => {
      if (error instanceof UniqueViolationError) throw new ConflictException();
      throw error;
    });
    return await this.orders.customers();
  }

  @Get()
  list(): Promise<string[]> {
    return this.orders.customers();
  }
}

@Module({
  controllers: [OrdersController],
  providers: [OrdersService, OrdersRepository, Mailer],
})
export class OrdersModule {}

export async function migrate(engine: AsyncEngine): Promise<void> {
  await engine.execute(sql`CREATE TABLE orders (id SERIAL PRIMARY KEY, customer TEXT NOT NULL UNIQUE)`);
  await engine.execute(sql`CREATE TABLE log (text TEXT NOT NULL)`);
}
