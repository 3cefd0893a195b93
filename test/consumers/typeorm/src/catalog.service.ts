import { Injectable } from '@nestjs/common';
import { InjectDataSource, InjectRepository } from '@nestjs/typeorm';
import { DataSource, Repository } from 'typeorm';
import { Category, Product } from './entities';

/** As it was: repositories, and transactions of TypeORM. */
@Injectable()
export class CatalogService {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @InjectRepository(Product) private readonly products: Repository<Product>,
  ) {}

  async add(name: string, stock: number, categories: string[] = []): Promise<Product> {
    return await this.source.transaction(async (manager) => {
      const kept = await manager.save(
        categories.map((category) => manager.create(Category, { name: category })),
      );
      return await manager.save(manager.create(Product, { name, stock, categories: kept }));
    });
  }

  /** Takes from the stock what is ordered; `CHECK (stock >= 0)` refuses what is not there. */
  async reserve(wanted: { product: number; amount: number }[]): Promise<void> {
    await this.source.transaction(async (manager) => {
      for (const { product, amount } of wanted)
        await manager.decrement(Product, { id: product }, 'stock', amount);
    });
  }

  async stockOf(product: number): Promise<number> {
    return (await this.products.findOneByOrFail({ id: product })).stock;
  }
}
