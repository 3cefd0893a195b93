import { once } from 'node:events';
import { Module, type INestMicroservice } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClientRedis, Transport, type MicroserviceOptions } from '@nestjs/microservices';
import { AsyncEngine, DatabaseModule, sql } from 'nest-async-engine';
import { createTestDatabase, type TestDatabase } from 'nest-async-engine/testing';
import { lastValueFrom } from 'rxjs';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { MessagesController, stage } from '../src/messages.controller.js';
import { Redis, hasRedis } from './redis.js';

const CALLERS = 50;
const PATIENCE = { timeout: 30_000, interval: 50 };

describe.skipIf(!hasRedis)("messages over Nest's Redis transport", () => {
  let redis: Redis;
  let database: TestDatabase;
  let service: INestMicroservice;
  let engine: AsyncEngine;
  let client: ClientRedis;

  beforeAll(async () => {
    redis = await Redis.start();
    database = await createTestDatabase();

    @Module({
      imports: [DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0 })],
      controllers: [MessagesController],
    })
    class MessagesModule {}

    const options = { host: '127.0.0.1', port: redis.port };
    service = await NestFactory.createMicroservice<MicroserviceOptions>(MessagesModule, {
      transport: Transport.REDIS,
      options,
      logger: false,
    });
    engine = service.get(AsyncEngine);
    await engine.execDriverSql('CREATE TABLE orders (customer text NOT NULL)');
    await service.listen();
    client = new ClientRedis(options);
  });
  afterEach(() => vi.waitFor(() => expect(engine.pool.checkedOut()).toBe(0), PATIENCE));
  afterAll(async () => {
    await client?.close();
    await service?.close();
    await database?.drop();
    await redis?.drop();
  });

  const send = <T>(pattern: string, customer: string): Promise<T> =>
    lastValueFrom(client.send<T>(pattern, customer), { defaultValue: undefined as T });
  const count = (customer: string): Promise<number> =>
    engine.scalars<number>(sql`SELECT count(*)::int FROM orders WHERE customer = ${customer}`).one();

  it('are committed before they are answered, a transaction each', async () => {
    const ids = await Promise.all(Array.from({ length: CALLERS }, () => send<string>('place', 'Ada')));
    expect(await count('Ada')).toBe(2 * CALLERS);
    expect(new Set(ids).size).toBe(CALLERS);
  });

  it('are undone when their handler fails, before the client hears of it', async () => {
    await expect(send('place', 'refused')).rejects.toBeDefined();
    expect(await count('refused')).toBe(0);
  });

  it('are committed and undone as events, too', async () => {
    await lastValueFrom(client.emit('placed', 'refused event'), { defaultValue: undefined });
    await lastValueFrom(client.emit('placed', 'Ben'), { defaultValue: undefined });
    await vi.waitFor(async () => expect(await count('Ben')).toBe(1), PATIENCE);
    expect(await count('refused event')).toBe(0);
  });

  it('run to their end when their client has gone', async () => {
    const leaving = new ClientRedis({ host: '127.0.0.1', port: redis.port });
    const entered = once(stage, 'entered');
    leaving.send('wait', 'Cleo').subscribe({ error: () => undefined });
    await entered;
    await leaving.close();
    expect(await count('Cleo')).toBe(0);
    stage.emit('mayGoOn');
    await vi.waitFor(async () => expect(await count('Cleo')).toBe(2), PATIENCE);
  });
});
