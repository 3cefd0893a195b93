import 'reflect-metadata';
import { Body, ConsoleLogger, Controller, Get, HttpCode, Injectable, Module, Post } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it, vi } from 'vitest';
import {
  AsyncConnection,
  AsyncEngine,
  DatabaseExceptionFilter,
  DatabaseModule,
  InjectEngine,
  Transactional,
  getEngineToken,
  sql,
  text,
} from 'nest-async-engine';
import {
  DatabaseTestingModule,
  createTestDatabase,
  recordSql,
  rollbackEach,
} from 'nest-async-engine/testing';
import { ADAPTERS, startApp } from '../support/nest/nest-app.js';
import type { RunningApp } from '../support/nest/nest-app.js';
import { queryOnce } from '../support/server/postgres.js';
import { failureOf } from '../support/items.js';

@Injectable()
class Orders {
  readonly confirmed: string[] = [];

  constructor(private readonly engine: AsyncEngine) {}

  @Transactional()
  async place(customer: string): Promise<void> {
    this.engine.afterCommit(() => void this.confirmed.push(customer));
    await this.engine.execute(sql`INSERT INTO orders (customer) VALUES (${customer})`);
    await this.audit(customer);
  }

  @Transactional()
  async audit(customer: string): Promise<void> {
    await this.engine.execute(sql`INSERT INTO audit (customer) VALUES (${customer})`);
  }

  async customers(): Promise<string[]> {
    return (await this.engine.scalars<string>(sql`SELECT customer FROM orders ORDER BY customer`)).all();
  }
}

@Controller('orders')
class OrdersController {
  constructor(private readonly orders: Orders) {}

  @Post()
  @HttpCode(201)
  async place(@Body() body: { customer: string }): Promise<string[]> {
    await this.orders.place(body.customer);
    return await this.orders.customers();
  }

  @Get()
  list(): Promise<string[]> {
    return this.orders.customers();
  }
}

@Controller('unit')
class UnitController {
  constructor(private readonly connection: AsyncConnection) {}

  @Post()
  async place(@Body() body: { customer: string; fails?: boolean }): Promise<string> {
    await this.connection.execute(sql`INSERT INTO orders (customer) VALUES (${body.customer})`);
    if (body.fails === true) await this.connection.execute(sql`SELECT 1 / 0`);
    return 'placed';
  }
}

const migrate = async (engine: AsyncEngine): Promise<void> => {
  await engine.execute(text('CREATE TABLE orders (id SERIAL PRIMARY KEY, customer TEXT UNIQUE NOT NULL)'));
  await engine.execute(text('CREATE TABLE audit (customer TEXT REFERENCES orders (customer))'));
};

const metadata = () => ({
  imports: [DatabaseTestingModule.forRoot({ migrate })],
  controllers: [OrdersController, UnitController],
  providers: [Orders, { provide: APP_FILTER, useClass: DatabaseExceptionFilter }],
});

beforeAll(() => {
  vi.stubEnv('TEST_DATABASE_URL', inject('databaseUrl'));
});
afterAll(() => {
  vi.unstubAllEnvs();
});

async function databases(): Promise<string[]> {
  const rows = await queryOnce<{ datname: string }>(inject('databaseUrl'), 'SELECT datname FROM pg_database');
  return rows.map(({ datname }) => datname);
}

describe.each(ADAPTERS)('rollbackEach over HTTP on %s', (_, adapter: () => AbstractHttpAdapter) => {
  let app: RunningApp;

  beforeAll(async () => {
    app = await startApp(metadata(), adapter());
  });
  afterAll(() => app.close());
  rollbackEach(() => app.app, { beforeEach, afterEach });

  const post = async (path: string, body: object): Promise<number> => {
    const headers = { 'content-type': 'application/json' };
    return (await fetch(`${app.url}/${path}`, { method: 'POST', headers, body: JSON.stringify(body) }))
      .status;
  };
  const list = async (): Promise<unknown> => await (await fetch(`${app.url}/orders`)).json();

  // The same twice: the second would meet the rows of the first.
  it.each(['first', 'second'])('undoes what requests have stored, in the %s test', async () => {
    expect(await list()).toEqual([]);
    expect(await post('orders', { customer: 'Ada' })).toBe(201);
    expect(await post('orders', { customer: 'Grace' })).toBe(201);
    expect(await list()).toEqual(['Ada', 'Grace']);
  });

  it('lets a request fail without the others', async () => {
    expect(await post('orders', { customer: 'Ada' })).toBe(201);
    expect(await post('orders', { customer: 'Ada' })).toBe(409);
    expect(await list()).toEqual(['Ada']);
  });

  it('lets requests in parallel take turns', async () => {
    const customers = ['Ada', 'Grace', 'Joan', 'Mary', 'Ruth'];
    await Promise.all(customers.map((customer) => post('orders', { customer })));
    expect(await list()).toEqual(customers);
  });

  it('runs hooks when a request commits', async () => {
    const { confirmed } = app.get(Orders);
    confirmed.length = 0;
    await post('orders', { customer: 'Ada' });
    await post('orders', { customer: 'Ada' });
    expect(confirmed).toEqual(['Ada']);
  });

  it('commits and rolls back requests that are one unit of work', async () => {
    expect(await post('unit', { customer: 'Ada' })).toBe(201);
    expect(await post('unit', { customer: 'Grace', fails: true })).toBeGreaterThanOrEqual(400);
    expect(await list()).toEqual(['Ada']);
  });

  it('takes one connection, whatever the requests do', async () => {
    using log = recordSql(app.get(AsyncEngine), { control: true });
    await post('orders', { customer: 'Ada' });
    expect(log.texts).toEqual([
      'BEGIN',
      'INSERT INTO orders (customer) VALUES ($1)',
      expect.stringMatching(/^SAVEPOINT/),
      'INSERT INTO audit (customer) VALUES ($1)',
      'COMMIT',
      'SELECT customer FROM orders ORDER BY customer',
    ]);
  });
});

describe('DatabaseTestingModule', () => {
  const nameOf = async (engine: AsyncEngine) => await engine.scalar<string>(sql`SELECT current_database()`);

  it('makes a database for each application and drops it when that is closed', async () => {
    const [one, other] = [await startApp(metadata()), await startApp(metadata())];
    const names = await Promise.all([one, other].map((app) => nameOf(app.get(AsyncEngine))));
    expect(new Set(names).size).toBe(2);
    expect(await databases()).toEqual(expect.arrayContaining(names));
    await Promise.all([one.close(), other.close()]);
    expect((await databases()).filter((name) => names.includes(name))).toEqual([]);
  });

  it('gives named databases their own', async () => {
    @Injectable()
    class Both {
      constructor(
        readonly main: AsyncEngine,
        @InjectEngine('reporting') readonly reporting: AsyncEngine,
      ) {}
    }
    const module = await Test.createTestingModule({
      imports: [DatabaseTestingModule.forRoot(), DatabaseTestingModule.forRoot({ name: 'reporting' })],
      providers: [Both],
    }).compile();
    const { main, reporting } = module.get(Both);
    expect(await nameOf(main)).not.toBe(await nameOf(reporting));
    expect(module.get(getEngineToken('reporting'), { strict: false })).toBe(reporting);
    await module.close();
  });

  it('fails with the error of migrate and leaves no database behind', async () => {
    let made: string | undefined;
    const failing = async (engine: AsyncEngine): Promise<void> => {
      made = await nameOf(engine);
      await engine.execute(text('CREATE TABLE'));
    };
    const module = Test.createTestingModule({
      imports: [DatabaseTestingModule.forRoot({ migrate: failing })],
    }).setLogger(new ConsoleLogger({ logLevels: [] }));
    expect(String(await failureOf(module.compile()))).toMatch(/syntax error/);
    expect(await databases()).not.toContain(made);
  });

  it('takes the place of the module that the root module names', async () => {
    const database = DatabaseModule.forRoot({ url: 'postgresql://nowhere.invalid/shop', retryAttempts: 0 });
    @Module({ imports: [database], providers: [Orders] })
    class RootModule {}
    const module = await Test.createTestingModule({ imports: [RootModule] })
      .overrideModule(database)
      .useModule(DatabaseTestingModule.forRoot({ migrate }))
      .compile();
    expect(await module.get(Orders, { strict: false }).customers()).toEqual([]);
    await module.close();
  });

  it('copies a template', async () => {
    await using template = await createTestDatabase();
    await queryOnce(template.url, 'CREATE TABLE kept (id INT)');
    await using copy = await createTestDatabase({ template: template.name });
    expect(await queryOnce(copy.url, 'SELECT * FROM kept')).toEqual([]);
  });

  it('takes the options of DatabaseModule', async () => {
    const app = await startApp({ imports: [DatabaseTestingModule.forRoot({ poolSize: 3 })] });
    expect(app.get(AsyncEngine).pool.size()).toBe(3);
    await app.close();
  });
});
