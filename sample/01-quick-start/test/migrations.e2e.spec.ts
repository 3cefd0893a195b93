import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../../test/support/server/postgres.js';
import { createApp } from '../src/create-app.js';

const ALL = ['0001-shop', '0002-goods'];

describe('the migrations', () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createDatabase('migrations');
  });

  afterEach(() => database.drop());

  it('are applied once, in order, by two instances that start at the same time and by one after them', async () => {
    const start = async () => (await createApp({ url: database.url })).init();
    const apps = [...(await Promise.all([start(), start()])), await start()];
    const ran = await database.query<{ name: string }>('SELECT name FROM pgmigrations ORDER BY id');
    expect(ran.map(({ name }) => name)).toEqual(ALL);
    expect(await database.query('SELECT count(*)::int AS products FROM products')).toEqual([{ products: 3 }]);
    await Promise.all(apps.map((app) => app.close()));
  });

  it('keep the shop closed and leave nothing behind when one of them fails', async () => {
    await database.query('CREATE TABLE orders (id integer)');
    await expect(createApp({ url: database.url }, undefined, { abortOnError: false })).rejects.toThrow(
      /0001-shop\.sql.*"orders" already exists/,
    );
    expect(await database.query(`SELECT to_regclass('accounts') AS table`)).toEqual([{ table: null }]);
  });
});
