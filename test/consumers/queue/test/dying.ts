// Places an order and dies: behind its COMMIT, or when the job is in Redis and its row is not deleted yet.
import { getQueueToken } from '@nestjs/bullmq';
import { NestFactory } from '@nestjs/core';
import type { Queue } from 'bullmq';
import { AsyncEngine } from 'nest-async-engine';
import { AppModule } from '../src/app.module.js';
import { MailProcessor } from '../src/mail.processor.js';
import { OrdersService } from '../src/orders.service.js';

const [moment, customer] = process.argv.slice(2) as [string, string];
const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
await app.get(MailProcessor).worker.pause(true);
const engine = app.get(AsyncEngine);
const die = (): void => void process.kill(process.pid, 'SIGKILL');

if (moment === 'behind COMMIT') {
  await engine.transaction(async () => {
    engine.afterCommit(die);
    await app.get(OrdersService).place(customer);
  });
} else {
  const queue = app.get<Queue>(getQueueToken('mail'));
  const addBulk = queue.addBulk.bind(queue);
  queue.addBulk = async (jobs) => {
    const added = await addBulk(jobs);
    die();
    return added;
  };
  await app.get(OrdersService).place(customer);
}
