import type { EventEmitter } from 'node:events';
import { createAsyncEngine, type AsyncEngine, type AsyncEngineOptions } from 'nest-async-engine/engine';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import type { Command, DriverConnection } from '../../../../lib/engine/driver/driver.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase('shared_tables');
});
afterAll(() => database.drop());

function open(options: AsyncEngineOptions = {}): AsyncEngine {
  const engine = createAsyncEngine(database.url, { poolSize: 3, maxOverflow: 0, ...options });
  onTestFinished(async () => {
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
  });
  return engine;
}

/** Gives `work` so many sessions of one engine. */
async function withSessions(
  engine: AsyncEngine,
  count: number,
  work: (sessions: readonly DriverConnection[]) => Promise<void>,
): Promise<void> {
  const loans = await Promise.all(Array.from({ length: count }, () => engine.pool.connect()));
  try {
    await work(loans.map((loan) => loan.session));
  } finally {
    for (const loan of loans) await loan.close();
  }
}

async function shapeOf(session: DriverConnection | undefined, command: Command): Promise<unknown> {
  return (await session?.execute([], command))?.shape;
}

it.each<[how: string, command: Command]>([
  ['with a name', { text: 'SELECT 1 AS id, now() AS at' }],
  ['without a name', { text: 'SELECT 2 AS id, now() AS at', prepare: false }],
])('the sessions of an engine read the rows of a statement %s by one layout', async (_, command) => {
  await withSessions(open(), 2, async ([one, other]) => {
    const shape = await shapeOf(one, command);
    expect(shape).toBeDefined();
    expect(await shapeOf(other, command)).toBe(shape);
  });
});

it('so do those that look a type up by its name, until it is another type', async () => {
  await database.query("CREATE TYPE mood AS ENUM ('glad')");
  const engine = open({ types: { mood: (word) => `<${word}>` } });
  const command: Command = { text: "SELECT 'glad'::mood AS mood" };
  await withSessions(engine, 2, async ([one, other]) => {
    expect(await shapeOf(other, command)).toBe(await shapeOf(one, command));
  });
  await database.query("DROP TYPE mood; CREATE TYPE mood AS ENUM ('glad')");
  await withSessions(engine, 3, async (sessions) => {
    const third = await sessions[2]?.execute([], command);
    expect(third?.rows).toEqual([{ mood: '<glad>' }]);
    expect(third?.shape).not.toBe(await shapeOf(sessions[0], command));
  });
});

it('what one session is told of a parameter is not taken for what the others have', async () => {
  const engine = open({ poolResetOnReturn: null });
  await withSessions(engine, 2, async ([one, other]) => {
    await one?.execute([], { text: "SET client_encoding = 'LATIN1'" });
    await expect(one?.execute([], { text: 'SELECT $1::text', values: ['€'] })).rejects.toThrow(/LATIN1/);
    expect((await other?.execute([], { text: 'SELECT $1::text AS sign', values: ['€'] }))?.rows).toEqual([
      { sign: '€' },
    ]);
    expect([one?.changes?.isEmpty, other?.changes?.isEmpty]).toEqual([false, true]);
    await one?.execute([], { text: 'RESET client_encoding' });
    expect((await one?.execute([], { text: 'SELECT $1::text AS sign', values: ['€'] }))?.rows).toEqual([
      { sign: '€' },
    ]);
  });
});

it('a session that has signed in listens to nothing that only a login has', async () => {
  const loan = await open().pool.connect();
  const { connection } = loan.driverConnection as Client & { readonly connection: EventEmitter };
  const events = connection.eventNames().map(String);
  expect(events).toContain('readyForQuery');
  expect(events.filter((name) => /^authentication|connect$|^backendKeyData$/.test(name))).toEqual([]);
  await loan.close();
});
