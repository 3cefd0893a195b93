import { type DynamicModule, Module } from '@nestjs/common';
import { DatabaseModule, type DatabaseModuleOptions } from 'nest-async-engine';
import { DatabaseDevtoolsModule } from 'nest-async-engine/devtools';
import { Migrations } from './migrations.js';
import { OrderFeed } from './order-feed.js';
import { OrdersController } from './orders.controller.js';
import { OrdersService } from './orders.service.js';
import { ShopController } from './shop.controller.js';

// The page shows SQL: for development alone.
const devtools = process.env['NODE_ENV'] === 'production' ? [] : [DatabaseDevtoolsModule.forRoot()];

@Module({})
export class ShopModule {
  static forRoot(database: DatabaseModuleOptions): DynamicModule {
    return {
      module: ShopModule,
      imports: [DatabaseModule.forRoot(database), ...devtools],
      controllers: [ShopController, OrdersController],
      providers: [Migrations, OrderFeed, OrdersService],
    };
  }
}
