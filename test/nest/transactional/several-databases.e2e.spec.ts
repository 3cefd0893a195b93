import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import type { TestingModule } from '@nestjs/testing';
import { AsyncEngine, DatabaseModule, InjectEngine, Transactional, sql } from 'nest-async-engine';
import { lastValueFrom, defer, type Observable } from 'rxjs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { failureOf, MemoryLogger } from '../../support/items.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;
const tenant = sql`SELECT current_setting('app.tenant', true)`;

@Injectable()
class Mistaken {
  constructor(
    readonly shop: AsyncEngine,
    @InjectEngine('archive') readonly archive: AsyncEngine,
  ) {}

  @Transactional()
  async save(): Promise<void> {
    await this.archive.execute(insert('save'));
  }

  @Transactional()
  async saveMany(): Promise<void> {
    const rows = Array.from({ length: 3 }, () => ({ name: 'many' }));
    const { archive } = this;
    await archive.execute({ text: 'SELECT 1' });
    await archive.executionOptions({ insertmanyvaluesPageSize: 1 }).execDriverSql(
      'INSERT INTO items VALUES ($1)',
      rows.map(({ name }) => [name]),
    );
  }

  @Transactional()
  async fail(): Promise<void> {
    await this.archive.execute(insert('fail'));
    throw new Error('on purpose');
  }

  @Transactional()
  observe(): Observable<unknown> {
    return defer(() => this.archive.execute(insert('observe')));
  }

  @Transactional()
  async both(): Promise<void> {
    await this.archive.execute(insert('both'));
    await this.shop.execute(insert('both'));
  }

  @Transactional()
  async read(): Promise<void> {
    await this.archive.execute(sql`SELECT name FROM items`).all();
  }

  @Transactional()
  async ownTransaction(): Promise<void> {
    await this.archive.transaction(() => this.archive.execute(insert('own')));
  }

  @Transactional({ propagation: 'requires-new' })
  async tenant(): Promise<unknown> {
    return await this.shop.scalar(tenant);
  }
}

let shop: TestDatabase;
let archive: TestDatabase;
let testing: TestingModule;
let service: Mistaken;
const log = new MemoryLogger();

beforeAll(async () => {
  [shop, archive] = [await createDatabase('shop'), await createDatabase('archive')];
  for (const database of [shop, archive]) await database.query('CREATE TABLE items (name text)');
  testing = await Test.createTestingModule({
    imports: [
      DatabaseModule.forRoot({ url: shop.url, logger: log }),
      DatabaseModule.forRoot({ url: archive.url, name: 'archive', logger: log }),
    ],
    providers: [Mistaken],
  }).compile();
  await testing.init();
  service = testing.get(Mistaken);
});
afterEach(async () => {
  log.warnings.length = 0;
  await expectIdle(service.shop, shop);
  await expectIdle(service.archive, archive);
});
afterAll(async () => {
  await testing.close();
  for (const database of [shop, archive]) await database.drop();
});

describe('a transaction in which another database alone has stored rows', () => {
  it.each<[string, () => Promise<unknown>]>([
    ['Mistaken.save', () => service.save()],
    ['Mistaken.saveMany', () => service.saveMany()],
    ['Mistaken.fail', () => service.fail().catch(() => undefined)],
    ['Mistaken.observe', () => lastValueFrom(service.observe())],
  ])('is warned of once, with the names of both: %s', async (label, run) => {
    await run();
    await run();
    expect(log.warnings).toHaveLength(1);
    expect(log.warnings[0]).toContain(`${label}: the transaction ran no statement in its database 'default'`);
    expect(log.warnings[0]).toContain("'archive' has stored rows");
    expect(await storedNames(archive)).not.toEqual([]);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['its own database has run a statement, too', () => service.both()],
    ['the other database has only read', () => service.read()],
    ['the other database has a transaction of its own', () => service.ownTransaction()],
  ])('is not warned of where %s', async (_name, run) => {
    await run();
    expect(log.warnings).toEqual([]);
  });
});

describe('a transaction that names no engine, inside the transaction or scope of one made by executionOptions()', () => {
  it.each(['transaction', 'scope'] as const)('has the settings of that one: %s()', async (way) => {
    const red = service.shop.executionOptions({ settings: { 'app.tenant': 'red' } });
    expect(await red[way](() => service.tenant())).toBe('red');
    expect(await red[way](() => service.shop.runDetached(() => service.tenant()))).not.toBe('red');
    await failureOf(red.transaction(() => Promise.reject(new Error('on purpose'))));
    expect(await service.tenant()).not.toBe('red');
  });
});
