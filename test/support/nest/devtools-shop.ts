import 'reflect-metadata';
import { Controller, Get, Query } from '@nestjs/common';
import { AsyncEngine, sql, Transactional } from 'nest-async-engine';
import { Barrier } from '../process/barrier.js';
import type { TestDatabase } from '../server/postgres.js';

/** Two orders meet here before each asks for what the other one has. */
let meeting = new Barrier(2);

export async function fillShop(database: TestDatabase): Promise<void> {
  meeting = new Barrier(2);
  await database.query('CREATE TABLE item (id int PRIMARY KEY, stock int NOT NULL DEFAULT 5)');
  await database.query('INSERT INTO item SELECT generate_series(1, 6)');
}

@Controller()
export class ShopController {
  constructor(private readonly engine: AsyncEngine) {}

  @Get('orders')
  async orders(): Promise<number> {
    const ids = await this.engine.execute(sql<{ id: number }>`SELECT id FROM item ORDER BY id`).all();
    for (const { id } of ids) await this.engine.execute(sql`SELECT * FROM item WHERE id = ${id}`).one();
    return ids.length;
  }

  @Get('place')
  @Transactional()
  async place(): Promise<string> {
    await this.engine.execute(sql`INSERT INTO item VALUES (100)`);
    await this.engine
      .transaction(async () => {
        await this.engine.execute(sql`INSERT INTO item VALUES (101)`);
        throw new Error('no stock');
      })
      .catch(() => undefined);
    return 'placed';
  }

  @Get('fail')
  @Transactional()
  async fail(): Promise<void> {
    await this.engine.execute(sql`INSERT INTO item VALUES (200)`);
    throw new Error('refused');
  }

  @Get('wrong')
  async wrong(): Promise<void> {
    await this.engine.execute(sql`SELECT * FROM missing`);
  }

  @Get('find')
  async find(@Query('stock') stock: string, @Query('name') name: string): Promise<void> {
    await this.engine.execute(
      sql`SELECT 1 FROM item WHERE stock <> ${Number(stock)} AND id::text <> ${name}`,
    );
    await this.engine.execute(sql`SELECT ${name}::text::int`);
  }

  @Get('quiet')
  quiet(): string {
    return 'quiet';
  }

  @Get('first')
  @Transactional()
  async first(): Promise<void> {
    await this.#reserve(1, 2);
  }

  @Get('second')
  @Transactional()
  async second(): Promise<void> {
    await this.#reserve(2, 1);
  }

  async #reserve(mine: number, theirs: number): Promise<void> {
    await this.engine.execute(sql`UPDATE item SET stock = stock - 1 WHERE id = ${mine}`);
    await meeting.arrive();
    await this.engine.execute(sql`UPDATE item SET stock = stock - 1 WHERE id = ${theirs}`);
  }
}
