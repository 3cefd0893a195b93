import type { INestApplication } from '@nestjs/common';
import { AsyncEngine, getEngineToken } from 'nest-async-engine';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ADAPTERS } from '../../../test/support/nest/nest-app.js';
import { createDatabase, type TestDatabase } from '../../../test/support/server/postgres.js';
import { createApp } from '../src/create-app.js';
import { REPORTS } from '../src/reports.js';

describe.each(ADAPTERS)('the shop and its reports on %s', (_name, adapter) => {
  let shop: TestDatabase;
  let reports: TestDatabase;
  let app: INestApplication;
  let url: string;

  beforeEach(async () => {
    [shop, reports] = await Promise.all([createDatabase('shop'), createDatabase('reports')]);
    app = await createApp({ shop: { url: shop.url }, reports: { url: reports.url } }, adapter());
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });

  afterEach(async () => {
    for (const token of [AsyncEngine, getEngineToken(REPORTS)]) {
      expect(app.get<AsyncEngine>(token).pool.checkedOut()).toBe(0);
    }
    await app.close();
    await Promise.all([shop.drop(), reports.drop()]);
  });

  async function sell(product: string, amount: number): Promise<number> {
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ product, amount });
    const response = await fetch(`${url}/sales`, { method: 'POST', headers, body });
    await response.text();
    return response.status;
  }

  async function read(what: 'sales' | 'reports'): Promise<unknown> {
    return await (await fetch(`${url}/${what}`)).json();
  }

  it('has a sale in the reports when its request is answered', async () => {
    expect(await sell('coffee', 3)).toBe(201);
    expect(await sell('coffee', 2)).toBe(201);
    expect(await read('reports')).toEqual([{ product: 'coffee', sales: 2, amount: 5 }]);
    expect(await read('sales')).toEqual({ waiting: 0 });
    expect(await shop.query(`SELECT to_regclass('recorded') AS here`)).toEqual([{ here: null }]);
  });

  it('tells the reports nothing of a sale that failed', async () => {
    expect(await sell('coffee', 0)).toBe(422);
    expect(await read('reports')).toEqual([]);
    expect(await shop.query('SELECT * FROM outbox')).toEqual([]);
  });

  it('keeps a sale while the reports do not work, and tells them of it with the next one', async () => {
    app.useLogger(false);
    await reports.query('ALTER TABLE recorded RENAME TO away');
    expect(await sell('coffee', 3)).toBe(201);
    expect(await read('sales')).toEqual({ waiting: 1 });

    await reports.query('ALTER TABLE away RENAME TO recorded');
    expect(await sell('tea', 1)).toBe(201);
    expect(await read('reports')).toEqual([
      { product: 'coffee', sales: 1, amount: 3 },
      { product: 'tea', sales: 1, amount: 1 },
    ]);
    expect(await read('sales')).toEqual({ waiting: 0 });
  });
});
