import 'reflect-metadata';
import { Body, Controller, Get, Inject, Injectable, Module, Post } from '@nestjs/common';
import { AsyncEngine, DatabaseModule, sql, Transactional } from 'nest-async-engine';

// Tokens are written out: some compilers leave no types of parameters behind.
@Injectable()
export class Orders {
  constructor(@Inject(AsyncEngine) private readonly engine: AsyncEngine) {}

  async onModuleInit(): Promise<void> {
    await this.engine.execute(sql`CREATE TABLE IF NOT EXISTS orders (item text NOT NULL)`);
    await this.engine.execute(sql`TRUNCATE orders`);
  }

  @Transactional()
  async place(item: string): Promise<void> {
    await this.engine.execute(sql`INSERT INTO orders (item) VALUES (${item})`);
    if (item === 'nothing') throw new Error('no such item');
  }

  async count(): Promise<number> {
    return await this.engine.execute(sql`SELECT count(*)::int FROM orders`).scalarOne<number>();
  }
}

@Controller('orders')
export class OrdersController {
  constructor(
    @Inject(Orders) private readonly orders: Orders,
    @Inject(AsyncEngine) private readonly engine: AsyncEngine,
  ) {}

  @Post()
  async place(@Body() body: { readonly item: string }): Promise<{ readonly placed: string }> {
    await this.orders.place(body.item);
    return { placed: body.item };
  }

  @Get()
  async count(): Promise<{ readonly orders: number; readonly onLoan: number }> {
    const orders = await this.orders.count();
    return { orders, onLoan: this.engine.pool.checkedOut() };
  }
}

@Module({
  imports: [DatabaseModule.forRoot({ url: process.env['DATABASE_URL'] ?? '' })],
  controllers: [OrdersController],
  providers: [Orders],
})
export class ShopModule {}
