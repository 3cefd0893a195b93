import { type DynamicModule, Module } from '@nestjs/common';
import { DatabaseModule, type DatabaseModuleOptions } from 'nest-async-engine';
import { DatabaseDevtoolsModule } from 'nest-async-engine/devtools';
import { OrderFeed } from './order-feed.js';
import { OrdersController } from './orders.controller.js';
import { OrdersService } from './orders.service.js';
import { ShopController } from './shop.controller.js';

// The page shows SQL: for development alone.
const devtools = process.env['NODE_ENV'] === 'production' ? [] : [DatabaseDevtoolsModule.forRoot()];

const MIGRATIONS = new URL('../migrations/', import.meta.url);

@Module({})
export class ShopModule {
  static forRoot(database: DatabaseModuleOptions): DynamicModule {
    return {
      module: ShopModule,
      imports: [DatabaseModule.forRoot({ ...database, migrations: { dir: MIGRATIONS } }), ...devtools],
      controllers: [ShopController, OrdersController],
      providers: [OrderFeed, OrdersService],
    };
  }
}
