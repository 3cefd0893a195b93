import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAsyncEngine, text, type AsyncEngineOptions } from 'nest-async-engine/engine';
import { asPool } from 'nest-async-engine/pg';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';
import { startScriptedServer } from '../../../support/server/scripted-server.js';
import { serverMessages } from '../../../support/server/server-messages.js';

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

describe('a function that gives the password', () => {
  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['0', 0],
    ['a text', 'no vault'],
    ['an object without a prototype', Object.create(null)],
  ])('and throws %s fails the connection at once', async (_, thrown) => {
    await using server = await startScriptedServer({
      onStart: (socket) => void socket.write(serverMessages.authentication(3)),
    });
    const password = async (): Promise<string> => {
      throw thrown;
    };
    for (const options of [{ password }, { connectArgs: { password } }]) {
      const engine = createAsyncEngine(server.url, { ...options, connectTimeout: 60_000 });
      const failure: unknown = await engine.connect().catch((error: unknown) => error);
      expect(failure).toMatchObject({
        code: 'CONNECT',
        message: expect.stringContaining('the function of the option password has thrown'),
      });
      expect((failure as { cause: { cause: unknown } }).cause.cause).toBe(thrown);
      expect(engine.pool.checkedOut()).toBe(0);
      await engine.aclose();
    }
  });
});
