import { ArgumentError, createAsyncEngine, text, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failureOf } from '../../support/items.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';

let database: TestDatabase;
let engine: AsyncEngine;

beforeAll(async () => {
  database = await createDatabase('wrong_lists');
  engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0 });
});
afterAll(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.aclose();
  await database.drop();
});

describe('parameters of execDriverSql() that are no list', () => {
  it.each<[string, unknown]>([
    ['an object', { id: 1 }],
    ['a string', 'abc'],
    ['a number', 1],
    ['a Map', new Map([[1, 2]])],
    ['a Set', new Set([1])],
    ['bytes', new Uint8Array([1])],
    ['a function', () => [1]],
  ])('%s: an ArgumentError, before a connection is taken', async (_, parameters) => {
    const failure = await failureOf(
      Promise.resolve().then(() => engine.execDriverSql('SELECT $1::text', parameters as unknown[])),
    );
    expect(failure).toBeInstanceOf(ArgumentError);
    expect(engine.pool.checkedOut()).toBe(0);
  });
});

describe('a name that the server would cut off', () => {
  const LONG = 'é'.repeat(32);
  const FITS = `${'é'.repeat(31)}x`;

  it('of 63 bytes arrives whole', async () => {
    const own = createAsyncEngine(database.url, { applicationName: FITS });
    expect(
      await own.scalar(text("SELECT octet_length(current_setting('application_name'))")),
    ).toBeGreaterThan(0);
    await own.aclose();
  });

  it('of 64 bytes is refused as applicationName when the engine is made', () => {
    const make = (): unknown => createAsyncEngine(database.url, { applicationName: LONG });
    expect(make).toThrow(ArgumentError);
    expect(make).toThrow(/applicationName.*at most 63 bytes/);
  });
});
