import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Catalog1700000000001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE TABLE category (id serial PRIMARY KEY, name varchar NOT NULL UNIQUE)');
    await runner.query(
      'CREATE TABLE product (id serial PRIMARY KEY, name varchar NOT NULL UNIQUE, stock int NOT NULL CHECK (stock >= 0))',
    );
    await runner.query(
      `CREATE TABLE product_categories_category (
         "productId" int REFERENCES product ON DELETE CASCADE,
         "categoryId" int REFERENCES category ON DELETE CASCADE,
         PRIMARY KEY ("productId", "categoryId")
       )`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE product_categories_category, product, category');
  }
}

export class Orders1700000000002 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE TABLE customer (id serial PRIMARY KEY, name varchar NOT NULL UNIQUE)');
    await runner.query(
      `CREATE TABLE orders (
         id serial PRIMARY KEY, placed timestamptz NOT NULL DEFAULT now(), "customerId" int NOT NULL REFERENCES customer
       )`,
    );
    await runner.query(
      `CREATE TABLE order_line (
         id serial PRIMARY KEY, amount int NOT NULL,
         "productId" int NOT NULL REFERENCES product, "orderId" int NOT NULL REFERENCES orders ON DELETE CASCADE
       )`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE order_line, orders, customer');
  }
}
