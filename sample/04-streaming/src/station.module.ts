import { type DynamicModule, Module } from '@nestjs/common';
import { DatabaseModule, type DatabaseModuleOptions } from 'nest-async-engine';
import { MeasurementsController } from './measurements.controller.js';
import { Measurements } from './measurements.js';
import { StationController } from './station.controller.js';

@Module({})
export class StationModule {
  static forRoot(database: DatabaseModuleOptions): DynamicModule {
    return {
      module: StationModule,
      imports: [DatabaseModule.forRoot(database)],
      controllers: [StationController, MeasurementsController],
      providers: [Measurements],
    };
  }
}
