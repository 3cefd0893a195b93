import { type DynamicModule, Module } from '@nestjs/common';
import { DatabaseModule, type DatabaseModuleOptions } from 'nest-async-engine';
import { Outbox } from './outbox.js';
import { REPORTS, Reports } from './reports.js';
import { SalesController } from './sales.controller.js';
import { Sales } from './sales.js';

export interface Databases {
  readonly shop: DatabaseModuleOptions;
  readonly reports: DatabaseModuleOptions;
}

@Module({})
export class SalesModule {
  static forRoot({ shop, reports }: Databases): DynamicModule {
    return {
      module: SalesModule,
      imports: [DatabaseModule.forRoot(shop), DatabaseModule.forRoot({ ...reports, name: REPORTS })],
      controllers: [SalesController],
      providers: [Sales, Reports, Outbox],
    };
  }
}
