import { Injectable, OnModuleInit } from '@nestjs/common';
import { AsyncEngine, Transactional, sql } from 'nest-async-engine';

@Injectable()
export class ProductsService implements OnModuleInit {
  constructor(private readonly engine: AsyncEngine) {}

  @Transactional()
  async onModuleInit(): Promise<void> {
    await this.engine.execute(sql`CREATE TABLE IF NOT EXISTS products (id int PRIMARY KEY, name text)`);
    await this.add(1, 'lamp');
  }

  @Transactional()
  async add(id: number, name: string): Promise<void> {
    await this.engine.execute(sql`INSERT INTO products VALUES (${id}, ${name}) ON CONFLICT DO NOTHING`);
  }

  find(id: number) {
    return this.engine
      .execute<{ id: number; name: string }>(sql`SELECT id, name FROM products WHERE id = ${id}`)
      .one();
  }
}
