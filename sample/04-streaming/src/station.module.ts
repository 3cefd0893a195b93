import { type DynamicModule, Module } from '@nestjs/common';
import { DatabaseModule, type DatabaseModuleOptions } from 'nest-async-engine';
import { DatabaseDevtoolsModule } from 'nest-async-engine/devtools';
import { MeasurementsController } from './measurements.controller.js';
import { Measurements } from './measurements.js';
import { StationController } from './station.controller.js';

// The page shows SQL: for development alone.
const devtools = process.env['NODE_ENV'] === 'production' ? [] : [DatabaseDevtoolsModule.forRoot()];

@Module({})
export class StationModule {
  static forRoot(database: DatabaseModuleOptions): DynamicModule {
    return {
      module: StationModule,
      imports: [DatabaseModule.forRoot(database), ...devtools],
      controllers: [StationController, MeasurementsController],
      providers: [Measurements],
    };
  }
}
