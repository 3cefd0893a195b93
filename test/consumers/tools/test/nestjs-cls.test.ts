import { Injectable, Module } from '@nestjs/common';
import {
  ClsPluginTransactional,
  Propagation,
  Transactional,
  TransactionHost,
} from '@nestjs-cls/transactional';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import { sql as drizzleSql } from 'drizzle-orm';
import { Test } from '@nestjs/testing';
import { ClsModule } from 'nestjs-cls';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AsyncEngine, DatabaseModule, sql, Transactional as OwnTransactional } from 'nest-async-engine';
import { TransactionalAdapterEngine } from 'nest-async-engine/cls';
import { asPool } from 'nest-async-engine/pg';
import { createTestDatabase } from 'nest-async-engine/testing';

type Adapter = TransactionalAdapterEngine<NodePgDatabase>;

@Injectable()
class Items {
  constructor(
    readonly host: TransactionHost<Adapter>,
    readonly engine: AsyncEngine,
  ) {}

  async add(name: string): Promise<void> {
    await this.host.tx.execute(drizzleSql`INSERT INTO item (name) VALUES (${name})`);
  }

  @Transactional()
  async both(): Promise<void> {
    await this.add('theirs');
    await this.engine.execute(sql`INSERT INTO item (name) VALUES ('ours')`);
  }

  @Transactional()
  async fails(): Promise<void> {
    await this.both();
    await this.alone();
    await this.outside();
    await this.nested().catch(() => undefined);
    throw new RangeError('mine');
  }

  @Transactional(Propagation.RequiresNew)
  async alone(): Promise<void> {
    await this.add('alone');
  }

  @Transactional(Propagation.NotSupported)
  async outside(): Promise<void> {
    await this.add('outside');
  }

  @Transactional(Propagation.Nested)
  async nested(): Promise<void> {
    await this.add('nested');
    throw new Error('undone');
  }

  @Transactional()
  async goesOn(): Promise<void> {
    await this.add('before');
    await this.nested().catch(() => undefined);
    await this.add('after');
  }

  @OwnTransactional()
  async inOurs(): Promise<void> {
    await this.both();
    throw new RangeError('mine');
  }

  @Transactional()
  async aroundOurs(): Promise<void> {
    await this.ours();
    throw new RangeError('mine');
  }

  @OwnTransactional()
  async ours(): Promise<void> {
    await this.add('in ours');
  }

  @Transactional<Adapter>({ readOnly: true })
  async reads(): Promise<void> {
    await this.add('never');
  }
}

describe('nestjs-cls', () => {
  let items: Items;
  let engine: AsyncEngine;
  let close: () => Promise<void>;
  beforeAll(async () => {
    const database = await createTestDatabase();
    const adapter = new TransactionalAdapterEngine({ instance: (one) => drizzle(asPool(one)) });
    @Module({
      imports: [
        DatabaseModule.forRoot({ url: database.url, poolSize: 4, maxOverflow: 0, poolMaxWaiting: 2_000 }),
        ClsModule.forRoot({ plugins: [new ClsPluginTransactional({ adapter: adapter as never })] }),
      ],
      providers: [Items],
    })
    class AppModule {}
    const app = await Test.createTestingModule({ imports: [AppModule] }).compile();
    await app.init();
    items = app.get(Items);
    engine = app.get(AsyncEngine);
    await engine.execute(sql`CREATE TABLE item (name text)`);
    close = async () => {
      await app.close();
      await database.drop();
    };
  });
  beforeEach(async () => {
    await engine.execute(sql`TRUNCATE item`);
    return () => expect(engine.pool.checkedOut()).toBe(0);
  });
  afterAll(() => close());

  const stored = async (): Promise<unknown[]> =>
    (await engine.scalars(sql`SELECT name FROM item ORDER BY name`)).all();

  it('commits both', async () => {
    await items.both();
    expect(await stored()).toEqual(['ours', 'theirs']);
  });

  it('undoes what failed, and nothing that was outside of it', async () => {
    await expect(items.fails()).rejects.toThrow('mine');
    expect(await stored()).toEqual(['alone', 'outside']);
  });

  it('nests', async () => {
    await items.goesOn();
    expect(await stored()).toEqual(['after', 'before']);
  });

  it('is a part of our transactions, and they are of its own', async () => {
    await expect(items.inOurs()).rejects.toThrow('mine');
    await expect(items.aroundOurs()).rejects.toThrow('mine');
    expect(await stored()).toEqual([]);
  });

  it('takes our options, and works without a transaction', async () => {
    await expect(items.reads()).rejects.toThrow();
    await items.add('plain');
    expect(await stored()).toEqual(['plain']);
  });

  it('leaves nothing behind with 300 callers', async () => {
    const work = Array.from({ length: 300 }, (_, index) =>
      index % 2 === 0 ? items.both() : items.inOurs().catch(() => undefined),
    );
    await Promise.all(work);
    expect(await engine.scalar(sql`SELECT count(*)::int FROM item`)).toBe(300);
  });
});
