import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AsyncEngine } from 'nest-async-engine';
import { asPool } from 'nest-async-engine/pg';
import pg from 'pg';
import { CatalogService } from './catalog.service';
import { Category, Customer, Order, OrderLine, Product } from './entities';
import { Catalog1700000000001, Orders1700000000002 } from './migrations';
import { OrdersService } from './orders.service';

const entities = [Category, Product, Customer, Order, OrderLine];

@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      inject: [AsyncEngine],
      useFactory: (engine: AsyncEngine) => ({
        type: 'postgres',
        driver: {
          ...pg,
          Pool: function PoolOfEngine() {
            return asPool(engine);
          },
        },
        entities,
        migrations: [Catalog1700000000001, Orders1700000000002],
        migrationsRun: true,
      }),
    }),
    TypeOrmModule.forFeature(entities),
  ],
  providers: [CatalogService, OrdersService],
})
export class ShopModule {}
