import 'reflect-metadata';
import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { AsyncEngine, getEngineToken, sql } from 'nest-async-engine';
import {
  DatabaseTestingModule,
  disableTransactions,
  recordSql,
  rollbackEach,
} from 'nest-async-engine/testing';
import { Mailer, OrdersModule, OrdersRepository, OrdersService, migrate } from '../src/orders.js';
import { request } from './http.js';

describe('orders over HTTP', () => {
  let app: INestApplication;

  beforeAll(async () => {
    const testing = await Test.createTestingModule({
      imports: [DatabaseTestingModule.forRoot({ migrate }), OrdersModule],
    }).compile();
    app = testing.createNestApplication({ logger: false });
    await app.listen(0, '127.0.0.1');
  });
  afterAll(() => app.close());
  rollbackEach(() => app);

  it('stores an order', async () => {
    expect(await request(app, 'POST', { customer: 'Ada' })).toEqual({ status: 201, body: ['Ada'] });
  });

  it('starts with nothing of the test before', async () => {
    expect(await request(app, 'GET')).toEqual({ status: 200, body: [] });
    expect(await request(app, 'POST', { customer: 'Ada' })).toEqual({ status: 201, body: ['Ada'] });
  });

  it('rolls a failed request back and goes on', async () => {
    await request(app, 'POST', { customer: 'Ada' });
    expect((await request(app, 'POST', { customer: 'Ada' })).status).toBe(409);
    const engine = app.get<AsyncEngine>(getEngineToken());
    expect(await engine.scalar(sql`SELECT count(*)::INT FROM log`)).toBe(1);
  });

  it('sends mail once the order is committed', async () => {
    const { sent } = app.get(Mailer);
    sent.length = 0;
    await request(app, 'POST', { customer: 'Ada' });
    await request(app, 'POST', { customer: 'Ada' });
    expect(sent).toEqual(['Ada']);
  });

  it('says BEGIN and COMMIT around both statements', async () => {
    const log = recordSql(app.get(AsyncEngine));
    await app.get(OrdersService).place('Ada');
    log.stop();
    expect(log.texts).toEqual([
      'BEGIN',
      'INSERT INTO log (text) VALUES ($1)',
      'INSERT INTO orders (customer) VALUES ($1)',
      'COMMIT',
    ]);
    expect(log.statements[1]?.values).toEqual(['Ada']);
  });
});

describe('the service alone', () => {
  class RepositoryDouble {
    readonly added: string[] = [];
    async log(): Promise<void> {}
    async add(customer: string): Promise<void> {
      if (customer === 'nobody') throw new RangeError('nobody is there');
      this.added.push(customer);
    }
  }

  const make = async () =>
    await Test.createTestingModule({ imports: [OrdersModule] })
      .useMocker((token) => (token === getEngineToken() ? disableTransactions() : undefined))
      .overrideProvider(OrdersRepository)
      .useValue(new RepositoryDouble())
      .compile();

  it('is called without a database', async () => {
    const testing = await make();
    await testing.get(OrdersService).place('Ada');
    expect(testing.get<RepositoryDouble>(OrdersRepository).added).toEqual(['Ada']);
    expect(testing.get(Mailer).sent).toEqual(['Ada']);
  });

  it('sends no mail when it fails', async () => {
    const testing = await make();
    await expect(testing.get(OrdersService).place('nobody')).rejects.toThrow(RangeError);
    expect(testing.get(Mailer).sent).toEqual([]);
  });

  it('may be made by hand', async () => {
    const double = new RepositoryDouble();
    const service = new OrdersService(
      double as unknown as OrdersRepository,
      new Mailer(),
      disableTransactions(),
    );
    disableTransactions(service);
    await service.place('Ada');
    expect(double.added).toEqual(['Ada']);
  });
});

describe('an engine in the place of the application’s own', () => {
  it('is given by its public token', async () => {
    const double = disableTransactions();
    const testing = await Test.createTestingModule({
      imports: [DatabaseTestingModule.forRoot(), OrdersModule],
    })
      .overrideProvider(getEngineToken())
      .useValue(double)
      .compile();
    expect(testing.get(AsyncEngine, { strict: false })).toBe(double);
    await testing.close();
  });
});
