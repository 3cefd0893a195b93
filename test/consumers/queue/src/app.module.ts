import { BullModule } from '@nestjs/bullmq';
import { Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { DatabaseModule } from 'nest-async-engine';
import { MailProcessor } from './mail.processor.js';
import { NightlyService, Totals } from './nightly.service.js';
import { OrdersService } from './orders.service.js';
import { Outbox } from './outbox.js';

@Module({
  imports: [
    DatabaseModule.forRoot(),
    BullModule.forRootAsync({
      useFactory: () => ({ connection: { host: '127.0.0.1', port: Number(process.env.REDIS_PORT) } }),
    }),
    BullModule.registerQueue({
      name: 'mail',
      // An id that is gone is forgotten: a job of that id that is sent again would run again.
      defaultJobOptions: { attempts: 3, removeOnComplete: { age: 3_600 } },
    }),
    ScheduleModule.forRoot(),
  ],
  providers: [Outbox, OrdersService, MailProcessor, Totals, NightlyService],
})
export class AppModule {}
