import { Test, type TestingModule } from '@nestjs/testing';
import { getDataSourceToken } from '@nestjs/typeorm';
import { AsyncEngine, UnexpectedRollbackError, sql } from 'nest-async-engine';
import { DatabaseTestingModule, rollbackEach } from 'nest-async-engine/testing';
import { DataSource, QueryFailedError } from 'typeorm';
import { CatalogService } from '../src/catalog.service';
import { Customer, Order, Product } from '../src/entities';
import { OrdersService } from '../src/orders.service';
import { ShopModule } from '../src/shop.module';

const CALLERS = 300;

describe('a TypeORM application with one service moved', () => {
  let app: TestingModule;
  let engine: AsyncEngine;
  let source: DataSource;
  let catalog: CatalogService;
  let orders: OrdersService;
  let lamp: number;

  beforeAll(async () => {
    app = await Test.createTestingModule({
      imports: [
        DatabaseTestingModule.forRoot({ poolSize: 5, maxOverflow: 0, poolMaxWaiting: 1_000 }),
        ShopModule,
      ],
    }).compile();
    await app.init();
    engine = app.get(AsyncEngine);
    source = app.get(getDataSourceToken());
    catalog = app.get(CatalogService);
    orders = app.get(OrdersService);
    lamp = (await catalog.add('lamp', 1_000, ['light', 'home'])).id;
  });
  afterEach(async () => {
    expect(engine.pool.checkedOut()).toBe(0);
    const left = sql`SELECT query FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'`;
    expect(await engine.scalars(left).all()).toEqual([]);
    orders.mails.length = 0;
    await engine.execute(sql`DELETE FROM orders`);
    await engine.execute(sql`UPDATE product SET stock = 1000`);
  });
  afterAll(() => app.close());

  /** Outside of any transaction. */
  const countOrders = async (): Promise<number> => await source.getRepository(Order).count();

  it('has run its own migrations on the engine, once', async () => {
    expect(await engine.scalars(sql`SELECT name FROM migrations ORDER BY id`).all()).toEqual([
      'Catalog1700000000001',
      'Orders1700000000002',
    ]);
    expect(await source.runMigrations()).toEqual([]);
    expect(await source.showMigrations()).toBe(false);
  });

  it('stores with both in one transaction, and nothing of it is seen before the commit', async () => {
    await engine.transaction(async () => {
      await orders.place('Ada', [{ product: lamp, amount: 2 }]);
      expect(await countOrders()).toBe(1);
      expect(await engine.runDetached(countOrders)).toBe(0);
      expect(orders.mails).toEqual([]);
    });
    const { orders: placed } = await orders.find('Ada');
    expect(placed[0]?.lines[0]).toMatchObject({ amount: 2, product: { name: 'lamp', stock: 998 } });
    expect(placed[0]?.lines[0]?.product.categories.map(({ name }) => name).sort()).toEqual(['home', 'light']);
    expect(orders.mails).toEqual(['Ada ordered']);
  });

  it('undoes what both have done when the moved method fails', async () => {
    const work = orders.place('Ben', [{ product: lamp, amount: 2_000 }]);
    await expect(work).rejects.toBeInstanceOf(QueryFailedError);
    expect(await source.getRepository(Customer).countBy({ name: 'Ben' })).toBe(0);
    expect(await countOrders()).toBe(0);
    expect(orders.mails).toEqual([]);
  });

  it('undoes a nested call alone, and what TypeORM did in it', async () => {
    const wishes = [1, 5_000, 2].map((amount) => ({ product: lamp, amount }));
    expect(await orders.placeWhatIsThere('Cleo', wishes)).toBe(2);
    expect(await catalog.stockOf(lamp)).toBe(997);
    expect(await countOrders()).toBe(2);
    expect(orders.mails).toEqual(['Cleo ordered', 'Cleo ordered']);
  });

  it('undoes a transaction of TypeORM inside alone when its caller goes on', async () => {
    await engine.transaction(async () => {
      await engine.execute(sql`INSERT INTO customer (name) VALUES ('Dora')`);
      await expect(catalog.reserve([{ product: lamp, amount: 9_000 }])).rejects.toBeInstanceOf(
        QueryFailedError,
      );
      await catalog.reserve([{ product: lamp, amount: 1 }]);
    });
    expect(await catalog.stockOf(lamp)).toBe(999);
    expect(await source.getRepository(Customer).countBy({ name: 'Dora' })).toBe(1);
  });

  it('saves at the same time in one transaction', async () => {
    await engine.transaction(async () => {
      await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          orders.place(`Eve ${index}`, [{ product: lamp, amount: 1 }]),
        ),
      );
    });
    expect(await countOrders()).toBe(20);
    expect(await catalog.stockOf(lamp)).toBe(980);
  });

  it('does not take a swallowed failure for a success', async () => {
    const work = engine.transaction(async () => {
      await source.query('INSERT INTO customer (name) VALUES (NULL)').catch(() => undefined);
    });
    await expect(work).rejects.toBeInstanceOf(UnexpectedRollbackError);
  });

  it('runs a transaction again whose failure TypeORM has wrapped', async () => {
    let runs = 0;
    await engine.transaction(
      async () => {
        await source.getRepository(Customer).insert({ name: `Finn ${++runs}` });
        if (runs === 1) await source.query("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$");
      },
      { retry: 1 },
    );
    expect(runs).toBe(2);
    expect(await source.getRepository(Customer).findBy({ name: 'Finn 1' })).toEqual([]);
    expect(await source.getRepository(Customer).countBy({ name: 'Finn 2' })).toBe(1);
  });

  it('tells a subscriber of a commit before the COMMIT, and afterCommit() behind it', async () => {
    const told: string[] = [];
    const subscriber = { afterTransactionCommit: () => void told.push('subscriber') };
    source.subscribers.push(subscriber);
    await engine.transaction(async () => {
      engine.afterCommit(() => void told.push('afterCommit'));
      await catalog.reserve([{ product: lamp, amount: 1 }]);
      told.push('the work has ended');
    });
    source.subscribers.splice(source.subscribers.indexOf(subscriber), 1);
    expect(told).toEqual(['subscriber', 'the work has ended', 'afterCommit']);
  });

  it('refuses an isolation level that the transaction around it has not', async () => {
    const serializable = () => source.transaction('SERIALIZABLE', (manager) => manager.count(Order));
    await expect(engine.transaction(serializable)).rejects.toMatchObject({ code: '25001' });
    expect(await engine.transaction(serializable, { isolationLevel: 'SERIALIZABLE' })).toBe(0);
  });

  it('lets the rest of the transaction wait for a QueryRunner that has begun', async () => {
    const order: string[] = [];
    await engine.transaction(async () => {
      const runner = source.createQueryRunner();
      await runner.startTransaction();
      await runner.manager.insert(Customer, { name: 'Jo' });
      const beside = source
        .getRepository(Customer)
        .countBy({ name: 'Jo' })
        .then((count) => order.push(`beside: ${count}`));
      order.push(`runner: ${await runner.manager.countBy(Customer, { name: 'Jo' })}`);
      await runner.rollbackTransaction();
      await runner.release();
      await beside;
    });
    expect(order).toEqual(['runner: 1', 'beside: 0']);
  });

  it('is a transaction of its own inside a transaction of TypeORM', async () => {
    const work = source.transaction(async (manager) => {
      await manager.insert(Customer, { name: 'Gil' });
      await orders.place('Hal', [{ product: lamp, amount: 1 }]);
      throw new RangeError('mine');
    });
    await expect(work).rejects.toThrow('mine');
    expect(await source.getRepository(Customer).countBy({ name: 'Gil' })).toBe(0);
    expect(await countOrders()).toBe(1);
  });

  it(`leaves nothing behind and mixes nothing with ${CALLERS} callers`, async () => {
    const wish = [{ product: lamp, amount: 1 }];
    const callers = Array.from({ length: CALLERS }, async (_, index) => {
      const name = `caller ${index}`;
      if (index % 3 === 0) return await orders.place(name, wish);
      if (index % 3 === 1) return await catalog.reserve(wish);
      const work = engine.transaction(async () => {
        await orders.place(name, wish);
        throw new RangeError('mine');
      });
      return await expect(work).rejects.toThrow('mine');
    });
    await Promise.all(callers);
    const stored = await source.getRepository(Order).find({ relations: { customer: true, lines: true } });
    expect(stored.map(({ customer }) => customer.name).sort()).toEqual(
      Array.from({ length: CALLERS / 3 }, (_, index) => `caller ${index * 3}`).sort(),
    );
    expect(stored.every(({ lines }) => lines.length === 1)).toBe(true);
    expect(await catalog.stockOf(lamp)).toBe(1_000 - 2 * (CALLERS / 3));
  });

  describe('with rollbackEach()', () => {
    rollbackEach(() => app);

    it.each([1, 2])('starts with nothing of the test before (%i)', async () => {
      expect(await source.getRepository(Product).countBy({ name: 'chair' })).toBe(0);
      await catalog.add('chair', 1);
      await orders.place('Ida', [{ product: lamp, amount: 1 }]);
      expect(await countOrders()).toBe(1);
    });
  });
});
