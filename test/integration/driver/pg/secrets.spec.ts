import { inspect } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createAsyncEngine, text, type AsyncEngineOptions } from 'nest-async-engine/engine';
import { asPool } from 'nest-async-engine/pg';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('secrets');
});
afterAll(() => database.drop());

/** The URL without its password, and that. Where the server asks for none, it takes any. */
function parted(): [url: string, password: string] {
  const url = new URL(database.url);
  const password = decodeURIComponent(url.password) || 'made-up-password';
  url.password = '';
  return [url.href, password];
}

it.each<[string, (password: string) => AsyncEngineOptions]>([
  ['the option', (password) => ({ password })],
  ['a function', (password) => ({ password: () => Promise.resolve(password) })],
  ['connectArgs', (password) => ({ connectArgs: { password } })],
])('shows a password of %s in nothing that it gives out, hidden properties included', async (_, options) => {
  const [url, password] = parted();
  const engine = createAsyncEngine(url, options(password));
  const shown: unknown[] = [engine, engine.pool, engine.url, asPool(engine)];
  for (const name of ['connect', 'checkout', 'beforeExecute'] as const)
    engine.on(name, (event: object) => void shown.push(event));
  await engine.connect(async (connection) => {
    const error: unknown = await connection
      .execute(text('SELECT nothing'))
      .all()
      .catch((e: unknown) => e);
    const pooled = await connection.getRawConnection();
    shown.push(connection, pooled, pooled.driverConnection, error);
  });
  await engine.aclose();
  const texts = shown.map((value) => inspect(value, { depth: 12, showHidden: true }));
  expect(texts.filter((line) => line.includes(password))).toEqual([]);
  expect(shown.length).toBeGreaterThan(10);
});
