import { readFile } from 'node:fs/promises';
import { Controller, Get, Header } from '@nestjs/common';
import { AsyncEngine, sql } from 'nest-async-engine';

const PAGE = new URL('../public/index.html', import.meta.url);

interface Account {
  readonly id: number;
  readonly owner: string;
  readonly balance: number;
}

interface Product {
  readonly id: number;
  readonly name: string;
  readonly price: number;
  readonly stock: readonly { readonly supplier: string; readonly quantity: number }[];
}

@Controller()
export class ShopController {
  constructor(private readonly engine: AsyncEngine) {}

  @Get()
  @Header('content-type', 'text/html; charset=utf-8')
  page(): Promise<string> {
    return readFile(PAGE, 'utf8');
  }

  @Get('accounts')
  accounts(): Promise<Account[]> {
    return this.engine.execute<Account>(sql`SELECT id, owner, balance FROM accounts ORDER BY id`).all();
  }

  @Get('products')
  products(): Promise<Product[]> {
    return this.engine
      .execute<Product>(
        sql`SELECT p.id, p.name, p.price,
              json_agg(json_build_object('supplier', s.name, 'quantity', quantity) ORDER BY s.rank) AS stock
            FROM products p JOIN stock ON product_id = p.id JOIN suppliers s ON s.id = supplier_id
            GROUP BY p.id ORDER BY p.id`,
      )
      .all();
  }
}
