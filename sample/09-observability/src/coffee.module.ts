import { Module, type OnModuleInit } from '@nestjs/common';
import { DatabaseOpenTelemetryModule } from 'nest-async-engine/opentelemetry';
import { CoffeeController } from './coffee.controller.js';
import { CoffeeService } from './coffee.service.js';
import { meterProvider } from './telemetry.js';

@Module({
  imports: [DatabaseOpenTelemetryModule.forRoot({ meterProvider, sqlCommenter: true })],
  controllers: [CoffeeController],
  providers: [CoffeeService],
})
export class CoffeeModule implements OnModuleInit {
  constructor(private readonly coffee: CoffeeService) {}

  async onModuleInit(): Promise<void> {
    await this.coffee.open();
  }
}
