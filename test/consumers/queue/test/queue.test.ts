import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { getQueueToken } from '@nestjs/bullmq';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { Queue } from 'bullmq';
import { AsyncEngine, createAsyncEngine, sql, type Sql } from 'nest-async-engine';
import { createTestDatabase, type TestDatabase } from 'nest-async-engine/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { AppModule } from '../src/app.module.js';
import { NightlyService } from '../src/nightly.service.js';
import { OrdersService } from '../src/orders.service.js';
import { Redis, hasRedis } from './redis.js';

const CALLERS = 300;
const TABLES = [
  'orders (id serial PRIMARY KEY, customer text NOT NULL)',
  'outbox (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, data jsonb NOT NULL)',
  'done (job text PRIMARY KEY)',
  'mail (to_customer text, about int, transaction text)',
  'total (by text, orders int, transaction text)',
];

if (!hasRedis)
  console.log('left out: there is no redis-server on this machine (Debian: apt-get install redis-server)');

describe.skipIf(!hasRedis)('jobs of a transaction', () => {
  let redis: Redis;
  let database: TestDatabase;
  let app: INestApplicationContext;
  let engine: AsyncEngine;
  let orders: OrdersService;
  let queue: Queue;

  beforeAll(async () => {
    redis = await Redis.start();
    database = await createTestDatabase();
    const owner = createAsyncEngine(database.url);
    for (const table of TABLES) await owner.execDriverSql(`CREATE TABLE ${table}`);
    await owner.aclose();
    process.env.REDIS_PORT = `${redis.port}`;
    process.env.DATABASE_URL = database.url;
    app = await NestFactory.createApplicationContext(AppModule, { logger: false });
    engine = app.get(AsyncEngine);
    orders = app.get(OrdersService);
    queue = app.get(getQueueToken('mail'));
    queue.on('error', () => undefined);
  });
  afterEach(async () => {
    await vi.waitFor(async () => expect(await waiting()).toBe(0), PATIENCE);
    await vi.waitFor(() => expect(engine.pool.checkedOut()).toBe(0), PATIENCE);
  });
  afterAll(async () => {
    await app?.close();
    await database?.drop();
    await redis?.drop();
  });

  const PATIENCE = { timeout: 30_000, interval: 50 };
  const count = (rows: Sql): Promise<number> =>
    engine.scalars<number>(sql`SELECT count(*)::int FROM ${rows}`).one();
  const mails = async (customer: string): Promise<number> =>
    await count(sql`mail WHERE to_customer = ${customer}`);
  const jobs = async (): Promise<number> =>
    Object.values(await queue.getJobCounts()).reduce((sum, n) => sum + n, 0);
  const waiting = async (): Promise<number> =>
    (await count(sql`outbox`)) + (await queue.getJobCountByTypes('active', 'waiting', 'delayed'));
  const isMailed = (customer: string): Promise<void> =>
    vi.waitFor(async () => expect(await mails(customer)).toBe(1), PATIENCE);

  it('go out behind its COMMIT, and not before', async () => {
    const before = await jobs();
    await engine.transaction(async () => {
      await orders.place('Ada');
      await engine.runDetached(async () => expect(await mails('Ada')).toBe(0));
      expect(await jobs()).toBe(before);
    });
    await isMailed('Ada');
    expect(await jobs()).toBe(before + 1);
  });

  it('are gone with its ROLLBACK, and with that of a savepoint', async () => {
    const before = await jobs();
    const undone = async (): Promise<void> => {
      await orders.place('Ben');
      throw new RangeError('mine');
    };
    await expect(engine.transaction(undone)).rejects.toThrow('mine');
    await engine.transaction(async () => {
      await engine.transaction(undone).catch(() => undefined);
      await orders.place('Cleo');
    });
    await isMailed('Cleo');
    expect(await jobs()).toBe(before + 1);
    expect(await mails('Ben')).toBe(0);
  });

  it.each(['behind COMMIT', 'behind addBulk()'])(
    'are sent and run once when the process dies %s',
    async (moment) => {
      const customer = `died ${moment}`;
      const program = fileURLToPath(new URL('dying.js', import.meta.url));
      const child = spawn(process.execPath, [program, moment, customer], {
        stdio: ['ignore', 'inherit', 'inherit'],
      });
      expect((await once(child, 'exit'))[1]).toBe('SIGKILL');
      await isMailed(customer);
      await vi.waitFor(async () => expect(await waiting()).toBe(0), PATIENCE);
      expect(await mails(customer)).toBe(1);
    },
  );

  it('wait while Redis is away, and those who store do not', async () => {
    await redis.stop();
    try {
      await orders.place('Dora');
      expect(await count(sql`orders WHERE customer = 'Dora'`)).toBe(1);
      expect(await mails('Dora')).toBe(0);
    } finally {
      await redis.start();
    }
    await isMailed('Dora');
  });

  it('are a transaction each: a failed attempt is undone before the next', async () => {
    await orders.place('moody');
    await isMailed('moody');
    const [job] = (await queue.getCompleted()).filter(({ data }) => data.customer === 'moody');
    expect(job?.attemptsMade).toBe(2);
  });

  it(`mix nothing and lose nothing with ${CALLERS} callers`, async () => {
    const callers = Array.from({ length: CALLERS }, async (_, index) => {
      const work = engine.transaction(async () => {
        await orders.place(`caller ${index % 2}`);
        if (index % 2 === 1) throw new RangeError('mine');
      });
      await work.catch((error: unknown) => expect(error).toBeInstanceOf(RangeError));
    });
    await Promise.all(callers);
    await vi.waitFor(async () => expect(await mails('caller 0')).toBe(CALLERS / 2), PATIENCE);
    expect(await mails('caller 1')).toBe(0);
    const distinct = sql`SELECT count(DISTINCT transaction)::int FROM mail WHERE to_customer = 'caller 0'`;
    expect(await engine.scalar(distinct)).toBe(CALLERS / 2);
  });

  it('stand beside jobs of the clock: one transaction each, undone when one fails', async () => {
    const nightly = app.get(NightlyService);
    await vi.waitFor(() => expect(nightly.runs).toBeGreaterThan(1), PATIENCE);
    const counted = sql<{
      rows: number;
      transactions: number;
    }>`SELECT count(*)::int AS rows, count(DISTINCT transaction)::int AS transactions FROM total WHERE by = 'scope'`;
    const { rows, transactions } = await engine
      .execute<{ rows: number; transactions: number }>(counted)
      .one();
    expect(transactions).toBeGreaterThan(0);
    expect(rows).toBe(2 * transactions);
    expect(await count(sql`total WHERE by = 'lost'`)).toBe(0);
  });
});
