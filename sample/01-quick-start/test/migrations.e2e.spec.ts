import { createAsyncEngine } from 'nest-async-engine';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../../test/support/server/postgres.js';
import { Migrations } from '../src/migrations.js';

const ALL = ['0001-shop.sql', '0002-goods.sql'];

describe('the migrations', () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createDatabase('migrations');
  });

  afterEach(() => database.drop());

  const applied = (): Promise<{ name: string }[]> =>
    database.query<{ name: string }>('SELECT name FROM migrations ORDER BY applied_at, name');

  it('are applied once, in order', async () => {
    await using engine = createAsyncEngine(database.url);
    expect(await new Migrations(engine).apply()).toEqual(ALL);
    expect(await new Migrations(engine).apply()).toEqual([]);
    expect((await applied()).map(({ name }) => name)).toEqual(ALL);
    expect(await database.query('SELECT count(*)::int AS products FROM products')).toEqual([{ products: 3 }]);
  });

  it('are applied once by two instances that start at the same time', async () => {
    await using one = createAsyncEngine(database.url);
    await using other = createAsyncEngine(database.url);
    const results = await Promise.all([new Migrations(one).apply(), new Migrations(other).apply()]);
    expect(results.flat()).toEqual(ALL);
    expect(await database.query('SELECT count(*)::int AS products FROM products')).toEqual([{ products: 3 }]);
  });

  it('leave nothing behind when one of them fails', async () => {
    await database.query('CREATE TABLE orders (id integer)');
    await using engine = createAsyncEngine(database.url);
    await expect(new Migrations(engine).apply()).rejects.toThrow(/"orders" already exists/);
    expect(await database.query(`SELECT to_regclass('migrations') AS table`)).toEqual([{ table: null }]);
  });
});
