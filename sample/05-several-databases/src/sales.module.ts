import { type DynamicModule, Module } from '@nestjs/common';
import { DatabaseModule, type DatabaseModuleOptions } from 'nest-async-engine';
import { DatabaseDevtoolsModule } from 'nest-async-engine/devtools';
import { Outbox } from './outbox.js';
import { REPORTS, Reports } from './reports.js';
import { SalesController } from './sales.controller.js';
import { Sales } from './sales.js';

// The page shows SQL: for development alone.
const devtools = process.env['NODE_ENV'] === 'production' ? [] : [DatabaseDevtoolsModule.forRoot()];

export interface Databases {
  readonly shop: DatabaseModuleOptions;
  readonly reports: DatabaseModuleOptions;
}

@Module({})
export class SalesModule {
  static forRoot({ shop, reports }: Databases): DynamicModule {
    return {
      module: SalesModule,
      imports: [
        DatabaseModule.forRoot(shop),
        DatabaseModule.forRoot({ ...reports, name: REPORTS }),
        ...devtools,
      ],
      controllers: [SalesController],
      providers: [Sales, Reports, Outbox],
    };
  }
}
